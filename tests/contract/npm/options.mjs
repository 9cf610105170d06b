// Every method of npm's `ollama` with every option that its types name: node options.mjs URL
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ollama } from 'ollama'

const client = new Ollama({ host: process.argv[2] })
const types = readFileSync(fileURLToPath(new URL('node_modules/ollama/dist/browser.d.ts', import.meta.url)), 'utf8')
const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const user = (content) => ({ role: 'user', content })
const tools = [{ type: 'function', function: { name: 'f', description: 'F', parameters: { type: 'object', properties: {} } } }]
const missing = 'pull model manifest: file does not exist'

// The names of an interface's members.
function members(name) {
  const [, body] = types.match(new RegExp(`interface ${name} \\{\\n([^}]*)\\n\\}`)) ?? assert.fail(`no ${name}`)
  return body.split('\n').filter((line) => /^ {4}\w/.test(line)).map((line) => line.trim().split(/\??:/)[0])
}

// That a request names all that its type has, so that a new member makes this fail.
function complete(name, request) {
  assert.deepEqual(Object.keys(request).sort(), members(name).sort(), name)
  return request
}

async function collect(answer) {
  const parts = []
  for await (const part of answer) parts.push(part)
  return parts
}

async function refused(promise, status, error) {
  await assert.rejects(promise, (raised) => {
    if (status) assert.equal(raised.status_code, status)
    assert.equal(typeof raised.message, 'string')
    assert.match(raised.message, error)
    return true
  })
}

const options = complete('Options', {
  numa: false, num_ctx: 4096, num_batch: 8, num_gpu: 1, main_gpu: 0, low_vram: false, f16_kv: true, logits_all: false,
  vocab_only: false, use_mmap: true, use_mlock: false, embedding_only: false, num_thread: 2, num_keep: 5, seed: 7,
  num_predict: 64, top_k: 11, top_p: 0.5, min_p: 0.1, tfs_z: 1, typical_p: 0.75, repeat_last_n: 16, temperature: 0.25,
  repeat_penalty: 1.5, presence_penalty: 0.5, frequency_penalty: 0.25, mirostat: 1, mirostat_tau: 0.5,
  mirostat_eta: 0.5, penalize_newline: true, stop: ['\n'],
})

const cases = {
  async chat() {
    for (const stream of [false, true]) {
      const request = complete('ChatRequest', {
        model: 'demo-think', messages: [{ ...user('Hello'), images: [DOT] }], stream, format: '', keep_alive: '10m',
        tools, think: 'high', logprobs: true, top_logprobs: 2, options,
      })
      const answer = await client.chat(request)
      const parts = stream ? await collect(answer) : [answer]
      assert.match(parts.map((part) => part.message.content).join(''), /^You said: Hello/)
      assert.ok(parts.some((part) => part.message.thinking))
      assert.ok(parts.flatMap((part) => part.logprobs ?? []).every((entry) => entry.top_logprobs.length === 2))
      assert.equal(parts.at(-1).done, true)
    }
  },

  async generate() {
    for (const stream of [false, true]) {
      const request = complete('GenerateRequest', {
        model: 'demo', prompt: 'Hello', suffix: '', system: 'Be brief.', template: '', context: [], stream, raw: false,
        format: '', images: [DOT], keep_alive: 90, think: false, logprobs: true, top_logprobs: 1, width: 64, height: 64,
        steps: 4, options,
      })
      const answer = await client.generate(request)
      const parts = stream ? await collect(answer) : [answer]
      assert.match(parts.map((part) => part.response).join(''), /^You said: Hello/)
      assert.ok(parts.at(-1).context.every(Number.isInteger))
    }
  },

  async embed() {
    const input = ['a boat', 'tea']
    const all = { model: 'demo-embed', input, truncate: true, keep_alive: -1, dimensions: 16, options: { num_ctx: 512 } }
    const { embeddings, prompt_eval_count } = await client.embed(complete('EmbedRequest', all))
    assert.deepEqual(embeddings.map((vector) => vector.length), [16, 16])
    assert.equal(prompt_eval_count, 3)
  },

  async embeddings() {
    const all = { model: 'demo-embed', prompt: 'tea', keep_alive: 0, options: { num_ctx: 512 } }
    assert.equal((await client.embeddings(complete('EmbeddingsRequest', all))).embedding.length, 64)
  },

  async 'create, show, copy and delete'() {
    for (const stream of [false, true]) {
      const { adapters, quantize, ...made } = complete('CreateRequest', {
        model: 'js-made', from: 'demo', stream, quantize: 'q4_K_M', template: '{{ .Prompt }}', license: ['MIT'],
        system: 'Be brief.', parameters: { temperature: 0.5 }, messages: [user('Hi')], adapters: { 'a.gguf': 'sha256:0' },
      })
      const answer = await client.create(made)
      const parts = stream ? await collect(answer) : [answer]
      assert.equal(parts.at(-1).status, 'success')
      await refused(client.create({ ...made, model: 'js-no', stream: false, quantize }), 400, /./)
      await refused(client.create({ ...made, model: 'js-no', stream: false, adapters }), 400, /./)
    }
    const shown = await client.show(complete('ShowRequest', { model: 'js-made', system: 'Other.', template: '', options: {} }))
    assert.equal(shown.system, 'Other.')
    assert.equal((await client.show({ model: 'js-made' })).system, 'Be brief.')
    assert.equal(shown.license, 'MIT')
    assert.equal(shown.parameters, 'temperature                    0.5')
    assert.deepEqual(await client.copy(complete('CopyRequest', { source: 'js-made', destination: 'js-copy' })), { status: 'success' })
    const names = (await client.list()).models.map((model) => model.name)
    assert.ok(names.includes('js-made:latest') && names.includes('js-copy:latest') && !names.includes('js-no:latest'))
    for (const model of ['js-made', 'js-copy']) {
      assert.deepEqual(await client.delete(complete('DeleteRequest', { model })), { status: 'success' })
      await refused(client.delete({ model }), 404, /model '.*' not found/)
    }
    await refused(client.delete({ model: 'demo' }), undefined, /./)
    await refused(client.copy({ source: 'js-none', destination: 'js-b' }), 404, /model "js-none" not found/)
    assert.ok((await client.list()).models.some((model) => model.name === 'demo:latest'))
  },

  async pull() {
    for (const insecure of [false, true]) {
      assert.deepEqual(await client.pull(complete('PullRequest', { model: 'demo', insecure, stream: false })), { status: 'success' })
      const parts = await collect(await client.pull({ model: 'demo', insecure, stream: true }))
      assert.equal(parts.at(-1).status, 'success')
      assert.ok(parts.every((part) => (part.completed ?? 0) <= (part.total ?? 0)))
    }
    await refused(client.pull({ model: 'js-none' }), 500, new RegExp(missing))
    await refused(client.pull({ model: 'js-none', stream: true }).then(collect), undefined, new RegExp(missing))
  },

  async push() {
    for (const stream of [false, true]) {
      const request = complete('PushRequest', { model: 'demo', insecure: false, stream })
      await refused(client.push(request).then((answer) => (stream ? collect(answer) : answer)), undefined, /./)
    }
  },

  async 'ps and version'() {
    await client.chat({ model: 'demo', messages: [user('Hi')] })
    const running = (await client.ps()).models.find((model) => model.name === 'demo:latest')
    assert.ok(new Date(running.expires_at) > new Date())
    assert.equal(running.digest.length, 64)
    assert.deepEqual(Object.keys(await client.version()), ['version'])
    await client.generate({ model: 'demo', prompt: '', keep_alive: 0 })
    assert.ok(!(await client.ps()).models.some((model) => model.name === 'demo:latest'))
  },

  async context() {
    const first = await client.generate({ model: 'demo', prompt: 'Hello' })
    const second = await client.generate({ model: 'demo', prompt: 'Again', context: first.context })
    assert.ok(second.prompt_eval_count > first.prompt_eval_count + first.eval_count / 2)
    assert.ok(second.context.length > first.context.length)
  },

  async methods() {
    const known = ['chat', 'copy', 'create', 'delete', 'embed', 'embeddings', 'generate', 'list', 'ps', 'pull', 'push', 'show', 'version']
    const elsewhere = ['abort', 'encodeImage', 'fileExists', 'isImagePath', 'processStreamableRequest', 'systemone', 'webFetch', 'webSearch']
    const found = new Set()
    for (let type = Object.getPrototypeOf(client); type !== Object.prototype; type = Object.getPrototypeOf(type)) {
      for (const name of Object.getOwnPropertyNames(type)) if (name !== 'constructor') found.add(name)
    }
    assert.deepEqual([...found].filter((name) => !elsewhere.includes(name)).sort(), known)
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
