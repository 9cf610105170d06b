"""What the embedded backend makes up, the same from the same input: JSON by schema, vectors, log probabilities."""

import base64
import hashlib
import math
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

Schema = Mapping[str, Any]

# Past the soft limit a recursive schema is led out: required properties only, and of alternatives the last one, which
# is where Optional puts null. What is deeper than the hard limit has no finite value, so what is there does not matter.
SOFT_DEPTH = 8
HARD_DEPTH = 24
# A schema that is broad as well as deep would fill the memory long before it meets the depth limit.
MAX_VALUES = 10_000
MAX_LENGTH = 1_000
# Beyond it floats are coarser than 1, and quotients by a small step may overflow: such bounds and steps are ignored.
MAX_NUMBER = 1e15
MIN_STEP = 1e-9

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "date": "2024-01-01",
        "date-time": "2024-01-01T00:00:00Z",
        "time": "00:00:00Z",
        "duration": "PT1S",
        "email": "demo@example.com",
        "hostname": "example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://example.com",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
)


def fill(schema: Schema, word: str = "example") -> Any:
    """A value that fits the schema; `word` becomes every string that the schema leaves free.

    Not honoured: `pattern`, `not`, `if`, `minProperties`, `uniqueItems`, `additionalProperties`, remote `$ref`.
    """
    return _Filler(schema, word).value(schema, 0)


class _Filler:
    def __init__(self, root: Schema, word: str) -> None:
        self._root = root
        self._word = word
        self._left = MAX_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if depth > HARD_DEPTH or self._left < 0:
            return None
        if not isinstance(schema, Mapping):
            return self._word
        if parts := list(self._parts(schema, depth)):
            return self.value(_merged(schema, parts), depth + 1)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return schema["enum"][0]
        return self._by_type(schema, depth)

    def _by_type(self, schema: Schema, depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number" as kind:
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return _string(schema, self._word)

    def _parts(self, schema: Schema, depth: int) -> Iterator[Schema]:
        """The schemas that must hold besides this one."""
        found = [self._resolve(schema["$ref"])] if "$ref" in schema else []
        if isinstance(schema.get("allOf"), list):
            found += schema["allOf"]
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                found.append(schema[key][0 if depth < SOFT_DEPTH else -1])
        return (part for part in found if isinstance(part, Mapping))

    def _resolve(self, reference: Any) -> Any:
        target: Any = self._root
        for step in str(reference).removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            else:
                target = target.get(key) if isinstance(target, Mapping) else None
        return target

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties, required = _members(schema)
        names = [name for name in properties if depth < SOFT_DEPTH or name in required]
        names += [name for name in required if name not in properties]
        return {name: self.value(properties.get(name), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        prefix = schema.get("prefixItems")
        items = [self.value(item, depth + 1) for item in prefix] if isinstance(prefix, list) else []
        wanted = _number_at(schema, "minItems", 0)
        if depth < SOFT_DEPTH and not items:
            wanted = max(wanted, 1)
        wanted = min(wanted, _number_at(schema, "maxItems", math.inf))
        while len(items) < wanted and self._left > 0:
            items.append(self.value(schema.get("items"), depth + 1))
        return items


def _merged(schema: Schema, parts: list[Schema]) -> Schema:
    merged = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
    for part in parts:
        own, wanted = _members(merged)
        more, also_wanted = _members(part)
        merged = {**merged, **part}
        if own or more:
            merged["properties"] = {**own, **more}
        merged["required"] = wanted + also_wanted
    return merged


def _members(schema: Schema) -> tuple[Schema, list[str]]:
    properties, required = schema.get("properties"), schema.get("required")
    return (
        properties if isinstance(properties, Mapping) else {},
        [name for name in required if isinstance(name, str)] if isinstance(required, list) else [],
    )


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        kind = kind[0]
    if isinstance(kind, str):
        return kind
    if "properties" in schema or schema.get("required"):
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _number_at(schema: Schema, key: str, default: float) -> float:
    value = schema.get(key)
    # In the schemas of draft 4 an exclusive bound is a boolean, and a boolean is an int.
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER:
        return value
    return default


def _number(schema: Schema, *, whole: bool) -> float:
    low, above = _number_at(schema, "minimum", -math.inf), _number_at(schema, "exclusiveMinimum", -math.inf)
    high, below = _number_at(schema, "maximum", math.inf), _number_at(schema, "exclusiveMaximum", math.inf)
    step = _number_at(schema, "multipleOf", 0)
    floor, ceiling = max(low, above), min(high, below)
    tries = [1, floor, math.floor(floor) + 1 if floor > -math.inf else 0, ceiling, (floor + ceiling) / 2]
    tries += [math.ceil(ceiling) - 1] if ceiling < math.inf else []
    if step >= MIN_STEP:
        tries += [step, math.ceil(floor / step) * step if floor > -math.inf else 0, 0]
        tries += [math.floor(ceiling / step) * step] if ceiling < math.inf else []

    def fits(number: float) -> bool:
        within = math.isfinite(number) and low <= number <= high and above < number < below
        return within and (not whole or number == int(number)) and (step < MIN_STEP or number % step == 0)

    found = next(filter(fits, tries), 1)
    return int(found) if found == int(found) else found


def _string(schema: Schema, word: str) -> str:
    text = FORMATS.get(str(schema.get("format")), word)
    shortest, longest = (
        int(min(max(_number_at(schema, key, default), 0), MAX_LENGTH))
        for key, default in (("minLength", 0), ("maxLength", MAX_LENGTH))
    )
    return text.ljust(shortest, "x")[:longest]


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector. Texts that share words point in like directions, so that a search finds something."""
    sums = [0.25 * number for number in _numbers(text, dimensions)]
    for word, times in Counter(re.findall(r"\w+", text.lower())).items():
        for axis, number in enumerate(_numbers(word, dimensions)):
            sums[axis] += times * number
    length = math.hypot(*sums)
    return [number / length for number in sums]


def _numbers(text: str, count: int) -> list[float]:
    # Odd numbers, so that none is 0 and no vector is without a direction.
    return [
        2 * number + 1 for number in struct.unpack(f"<{count}h", hashlib.shake_256(text.encode()).digest(2 * count))
    ]


def packed(vector: list[float]) -> str:
    """The vector in OpenAI's base64 form: 32-bit floats, little-endian."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def logprob(token: str, alternatives: int) -> dict[str, Any]:
    """An entry of `logprobs.content`; the numbers are made up."""
    likely = [token, *(f" alternative{rank}" for rank in range(1, alternatives))][:alternatives]
    top = [{**_token(other), "logprob": -0.125 - rank} for rank, other in enumerate(likely)]
    return {**_token(token), "logprob": -0.125, "top_logprobs": top}


def _token(token: str) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode())}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]
