// Asks the npm package jose (https://github.com/panva/jose) about tokens, for oracle_npm_test.go.
//
//   node oracle.mjs < requests > answers
//
// The first line of the input is JSON: {"secret": base64, "rsa": PEM, "ec": PEM, "private": {"rsa": PEM, "ec": PEM}},
// all of them test keys. Each further line is one request, answered by one line:
//
//   open ALG TOKEN     "ok PAYLOAD" (base64url) or "no CODE"
//   mint ALG PAYLOAD   "ok TOKEN"; PAYLOAD is base64url
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import * as jose from 'jose'

const algorithms = ['HS256', 'RS256', 'PS256', 'ES256']

async function load(line) {
  const text = JSON.parse(line)
  const secret = Buffer.from(text.secret, 'base64')
  const keys = { open: { HS256: secret }, mint: { HS256: secret } }
  keys.wrapping = createHash('sha256').update(secret).digest()
  for (const [alg, kind] of [['RS256', 'rsa'], ['PS256', 'rsa'], ['ES256', 'ec']]) {
    keys.open[alg] = await jose.importSPKI(text[kind], alg)
    keys.mint[alg] = await jose.importPKCS8(text.private[kind], alg)
  }
  return keys
}

async function open(keys, alg, token) {
  if (algorithms.includes(alg)) {
    return (await jose.compactVerify(token, keys.open[alg], { algorithms: [alg] })).payload
  }
  const options = { keyManagementAlgorithms: ['A256GCMKW'], contentEncryptionAlgorithms: ['A256GCM'] }
  return (await jose.compactDecrypt(token, keys.wrapping, options)).plaintext
}

async function mint(keys, alg, payload) {
  const bytes = Buffer.from(payload, 'base64url')
  if (algorithms.includes(alg)) {
    return new jose.CompactSign(bytes).setProtectedHeader({ alg, typ: 'JWT' }).sign(keys.mint[alg])
  }
  return new jose.CompactEncrypt(bytes).setProtectedHeader({ alg: 'A256GCMKW', enc: 'A256GCM' }).encrypt(keys.wrapping)
}

async function answer(keys, request) {
  const [verb, alg, ...rest] = request.split(' ')
  const text = rest.join(' ')
  if (verb === 'mint') return 'ok ' + (await mint(keys, alg, text))
  try {
    return 'ok ' + Buffer.from(await open(keys, alg, text)).toString('base64url')
  } catch (err) {
    return 'no ' + (err.code ?? err.name)
  }
}

let keys
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (!keys) {
    keys = await load(line)
    continue
  }
  process.stdout.write((await answer(keys, line)) + '\n')
}
