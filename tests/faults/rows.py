"""The rows of the fault matrix, group by group: its title, then what goes wrong, row by row.

Tests carry the rows they hold in their names: `test_a5_...` holds row A5, `test_c3_c6_...` two of them. T rows are
traps of the stack. README.md is made of this and of the tests.
"""

from __future__ import annotations

ROWS = {
    "A": """A client's bytes
a connection that says nothing
headers that trickle in
a body that trickles in
thousands of half-open requests
too many, too long, too large headers
a URL that is too long, or no text
a length or an encoding that can be read in two ways
no host, two hosts, a host that is none
a name that is not the proxy's
a web page from elsewhere
a preflight request
a client that expects something first
a body that ends too early
a body that is too large
a body that is packed, or a bomb
a client of HTTP/1.0
requests one after the other, unasked
another protocol
a target with a host of its own
forwarding headers of whoever
headers of one hop
line ends in values""",
    "B": """What a client asks
no body
no JSON
JSON that is meant to hurt
other types, and too much of them
no content type, or another
no model, or an unknown one
no such route or method
a digest that is a path
changes to the server's models
another backend, named by the client
an image that is a URL
an image that is none, or hundreds
options out of range
fields with odd values
two fields that contradict each other
a prompt that looks like a record
text that breaks lines""",
    "C": """A client's connection
it leaves while it waits for its turn
it leaves while the backend is connected to
it leaves before the first byte
it leaves in mid-stream
it leaves while it takes nothing
it leaves while a whole answer is made
it leaves between the last token and the end
it closes its half
it takes nothing any more
it takes little at a time
it stays and asks nothing
it asks again after an error
thousands come at once
it asks on a kept connection while the proxy drains""",
    "D": """Reaching the backend
the name does not exist
the name server hangs
the first of its addresses is dead
the connection is refused
the connection is swallowed
TLS that proves nothing
TLS that stalls
it accepts and hangs up
a kept connection that has died
it is restarted under load
proxies and keys of the environment
no more file descriptors""",
    "E": """The head of its reply
no head
a head and no body
half a head
no HTTP
a large head
a length that can be read in two ways
bytes after the body
interim heads
another protocol
nothing
a redirect
HTTP/1.0 that ends by closing
JSON where a stream was asked for
a web page
a stream under another type
a packed body, or a bomb
headers that are none of the client's business""",
    "F": """The body of its reply
reset before the first event
cut in mid-stream
cut after the finish reason
another length than was said
a broken chunk
silence
an event that drips in
nothing but comments
no end in time
no end at all
a huge answer at once
faster than the client
it closes its half
it goes on after we have left
trailers""",
    "G": """Server-sent events
cut anywhere
any line ends
a byte order mark
any space after the colon
data on several lines
comments
other fields
empty data
no end marker
an end marker and no finish reason
something after the end marker
a last event without its blank line
a huge event
thousands of events in one read
an event in thousands of reads
lines of JSON instead of events
bytes that are no UTF-8
line separators within text""",
    "H": """Chunks
no JSON
JSON of another shape
no choices
no delta
content of any kind
roles
several choices
text and finish reason at once
finish reasons and usage in any order
no usage
text after the finish reason
any finish reason
tool calls under another finish reason
a finish reason of tool calls that never came
names of tools in parts
indexes of tool calls that are wrong or missing
ids of tool calls that are wrong or missing
arguments of any kind
arguments before the name, or in thousands of parts
function calls of old
calls, text and thinking in turns
thinking under any name
thinking and no answer
log probabilities without text
unknown fields
another model's name
vectors out of order
a list of models that is none""",
    "I": """Errors of backends
OpenAI's
the proxy's own key is refused
no such model, or no such endpoint
vLLM's
vLLM's in mid-stream
llama.cpp's
OpenRouter's
Azure's
LiteLLM's
TGI's
FastAPI's
a gateway's web page
no JSON
Anthropic's
Google's
Ollama's, Bedrock's, Cohere's
an event named error
an error as the first event
an error that holds secrets
any status""",
    "J": """Rate limits, retries, overload
too many requests, says the backend
any time to retry after
unavailable, says the backend
half of all connections fail
a request that died after it was sent
a body that is sent again
failures one after the other
the try after the pause
more requests than places
more requests than may wait
a wait that is too long
probes under overload
one client takes all
memory runs out
an item that fails again and again
health checks that cost tokens
the clock jumps
the loop is held""",
    "K": """The process
a signal, and nothing runs
a signal, and short streams run
a signal, and a long stream runs
a request after the signal
a signal, and requests wait
further signals
killed
started before the backend
started with what can't work
a worker dies
nobody reads the log
a mistake of our own
tasks that nobody looks after
a day of traffic
the machine sleeps""",
    "L": """Container and settings
nothing may be written
any user
little memory, little time
the first process
less patience than the drain takes
a key file of any kind
a key that is changed
a base URL of any kind
a key over plain HTTP
a backend that is the proxy itself
numbers and names that are wrong
settings that are shown
a health check without tools
IPv6
open to everybody
any locale""",
    "M": """Attacks
a wrong key
ways around the key
the key, anywhere
the prompt, anywhere
lines forged in the log
labels without end
figures for everybody
patterns that backtrack
JSON with a million keys
little in, much held
a reply that is split in two
a backend that answers for others
code in the environment
no TLS on the client's side
an address that is the cloud's own""",
    "T": """Traps of the stack
no deadline for a request's head
no limit to a request's head
chunks for a client of HTTP/1.0
hosts that are missing or double
a stalled reader outlives its request
memory of the kernel after an abort
a half-closed client counts as gone
a signal refuses and cuts at once
a signal ends running streams
awaiting in the end of a cancelled stream
bytes that poison the next reply
a pool that leaks when cancelled
line separators that split events
line separators that split records
blank lines between records
a limit on the length of lines
a kept connection that dies as it is used
redirects that carry the key away
unpacking without limit
errors that echo the request
JSON deeper than the stack
a URL made of the Host header""",
}
# What no test can hold here, and why.
NONE_HERE = {
    "K14": "no run of tests takes a day: `scripts/soak` fits a line through the memory of thousands of requests",
}
