// The calls of npm's `ollama` against the proxy with its embedded backend: node contract.mjs URL
import assert from 'node:assert/strict'
import { Ollama } from 'ollama'

const client = new Ollama({ host: process.argv[2] })
const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const user = (content, more = {}) => ({ role: 'user', content, ...more })
const hello = { model: 'demo', messages: [user('Say hello.')] }
const length = (vector) => Math.hypot(...vector)
const near = (left, right) => assert.ok(Math.abs(left - right) < 1e-5, `${left} is not ${right}`)

async function collect(stream) {
  const parts = []
  for await (const part of stream) parts.push(part)
  assert.deepEqual(parts.map((part) => part.done), [...parts.slice(1).map(() => false), true])
  return parts
}

const tools = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Current weather of a city',
      parameters: { type: 'object', required: ['city'], properties: { city: { type: 'string' } } },
    },
  },
]

const cases = {
  async list() {
    const { models } = await client.list()
    const names = models.map((model) => model.name.replace(/:latest$/, ''))
    for (const name of ['demo', 'demo-think', 'demo-embed']) assert.ok(names.includes(name), `${name} in ${names}`)
    for (const model of models) assert.match(model.digest, /^[0-9a-f]{64}$/)
  },

  async show() {
    const shown = await client.show({ model: 'demo' })
    assert.ok(shown.model_info)
    assert.ok(shown.capabilities.includes('completion'))
  },

  async ps() {
    await client.chat(hello)
    const names = (await client.ps()).models.map((model) => model.name.replace(/:latest$/, ''))
    assert.ok(names.includes('demo'), `demo in ${names}`)
  },

  async version() {
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/)
  },

  async chat() {
    const reply = await client.chat(hello)
    assert.equal(reply.message.role, 'assistant')
    assert.match(reply.message.content, /Say hello\./)
    assert.equal(reply.done, true)
    assert.equal(reply.done_reason, 'stop')
    assert.ok(reply.eval_count > 0 && reply.total_duration > 0)
  },

  async 'chat, streamed'() {
    const whole = await client.chat(hello)
    const parts = await collect(await client.chat({ ...hello, stream: true }))
    assert.ok(parts.length > 2)
    assert.equal(parts.map((part) => part.message.content).join(''), whole.message.content)
    assert.equal(parts.at(-1).eval_count, whole.eval_count)
  },

  async generate() {
    const reply = await client.generate({ model: 'demo', prompt: 'Say hello.' })
    assert.match(reply.response, /Say hello\./)
    assert.equal(reply.done, true)
  },

  async 'generate, streamed'() {
    const whole = await client.generate({ model: 'demo', prompt: 'Say hello.' })
    const parts = await collect(await client.generate({ model: 'demo', prompt: 'Say hello.', stream: true }))
    assert.equal(parts.map((part) => part.response).join(''), whole.response)
  },

  async tools() {
    const messages = [user('Call get_weather for Paris.')]
    const parts = await collect(await client.chat({ model: 'demo', messages, tools, stream: true }))
    const calls = parts.flatMap((part) => part.message.tool_calls ?? [])
    assert.equal(calls.length, 1)
    assert.equal(calls[0].function.name, 'get_weather')
    assert.deepEqual(Object.keys(calls[0].function.arguments), ['city'])

    messages.push({ role: 'assistant', content: '', tool_calls: calls })
    messages.push({ role: 'tool', tool_name: 'get_weather', content: '11 degrees, rain' })
    const reply = await client.chat({ model: 'demo', messages, tools })
    assert.match(reply.message.content, /11 degrees, rain/)
  },

  async images() {
    const bytes = Uint8Array.from(Buffer.from(DOT, 'base64'))
    for (const image of [DOT, bytes]) {
      const { message } = await client.chat({ model: 'demo', messages: [user('What is this?', { images: [image] })] })
      assert.match(message.content, /image\/png/)
    }
  },

  async thinking() {
    const ask = { model: 'demo-think', messages: [user('Say hello.')], think: true }
    const { message } = await client.chat(ask)
    assert.ok(message.thinking && message.content)
    const parts = await collect(await client.chat({ ...ask, stream: true }))
    assert.equal(parts.map((part) => part.message.thinking ?? '').join(''), message.thinking)
    assert.equal(parts.map((part) => part.message.content).join(''), message.content)
  },

  async 'structured output'() {
    const format = {
      type: 'object',
      required: ['name', 'age', 'pets'],
      properties: {
        name: { type: 'string' },
        age: { type: 'integer' },
        pets: { type: 'array', items: { enum: ['cat', 'dog'] } },
      },
    }
    const { message } = await client.chat({ ...hello, format })
    const person = JSON.parse(message.content)
    assert.deepEqual(Object.keys(person).sort(), ['age', 'name', 'pets'])
    assert.equal(typeof person.name, 'string')
    assert.ok(Number.isInteger(person.age))
    assert.ok(person.pets.every((pet) => ['cat', 'dog'].includes(pet)))
  },

  async embed() {
    const input = ['a small boat', 'the price of tea']
    const { embeddings } = await client.embed({ model: 'demo-embed', input })
    assert.equal(embeddings.length, 2)
    for (const vector of embeddings) near(length(vector), 1)
    const alone = await client.embed({ model: 'demo-embed', input: input[1] })
    assert.deepEqual(alone.embeddings, [embeddings[1]])
  },

  async embeddings() {
    const { embedding } = await client.embeddings({ model: 'demo-embed', prompt: 'a small boat' })
    assert.ok(embedding.length > 0 && embedding.every(Number.isFinite))
  },

  async abort() {
    const stream = await client.chat({ ...hello, stream: true })
    await assert.rejects(
      async () => {
        for await (const part of stream) {
          assert.equal(part.done, false)
          stream.abort()
        }
      },
      { name: 'AbortError' },
    )
    assert.ok((await client.chat(hello)).done)
  },

  async 'unknown model'() {
    const expected = { name: 'ResponseError', status_code: 404, error: "model 'nope' not found" }
    for (const stream of [false, true]) await assert.rejects(client.chat({ ...hello, model: 'nope', stream }), expected)
  },
}

for (const [name, run] of Object.entries(cases)) {
  try {
    await run()
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`not ok ${name}\n${error.stack}`)
    process.exitCode = 1
  }
}
