"""Pure translation: values in, values out. No I/O, clock, log, random or framework."""
