// Clients as people write them in JavaScript, with openid-client and jose as they come. foreign_node_test.go starts the
// server, and says in the environment where it is.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as client from 'openid-client'
import * as jose from 'jose'

const issuer = process.env.ISSUER
const api = process.env.API
const audience = process.env.AUDIENCE

// discover reads the metadata and configures a client from nothing else.
const discover = (id, secret, auth) =>
  client.discovery(new URL(issuer), id, secret, auth, { execute: [client.allowInsecureRequests] })

const signIn = (config, password = 'wonderland') =>
  client.genericGrantRequest(config, 'password', { username: 'alice', password, scope: 'openid profile' })

const keySet = (config) => jose.createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))

// verify is what the documentation of jose recommends for access tokens of RFC 9068.
const verify = (config, token, more = {}) =>
  jose.jwtVerify(token, keySet(config), { issuer, audience, typ: 'at+jwt', ...more })

const webBasic = () => discover('demo-web', undefined, client.ClientSecretBasic(process.env.WEB_SECRET))

test('discovery finds the issuer, and the endpoints that it names are the ones used below', async () => {
  const metadata = (await webBasic()).serverMetadata()
  assert.equal(metadata.issuer, issuer)
  for (const name of ['token_endpoint', 'jwks_uri', 'revocation_endpoint', 'introspection_endpoint']) {
    assert.ok(metadata[name].startsWith(issuer + '/'), name)
  }
  const oauth = await client.discovery(new URL(issuer), 'demo-cli', undefined, client.None(), {
    algorithm: 'oauth2', execute: [client.allowInsecureRequests],
  })
  assert.equal(oauth.serverMetadata().token_endpoint, metadata.token_endpoint)
})

for (const [name, auth] of [
  ['client_secret_basic', client.ClientSecretBasic], ['client_secret_post', client.ClientSecretPost],
]) {
  test(`client credentials by ${name} give a token for the API, and a wrong secret none`, async () => {
    const config = await discover('demo-service', undefined, auth(process.env.SERVICE_SECRET))
    const tokens = await client.clientCredentialsGrant(config, { scope: 'notes.read' })
    assert.equal(tokens.token_type, 'bearer')
    assert.ok(tokens.expiresIn() > 0)
    const { payload } = await verify(config, tokens.access_token)
    assert.equal(payload.client_id, 'demo-service')
    assert.equal(payload.scope, 'notes.read')
    const wrong = await discover('demo-service', undefined, auth('a wrong secret'))
    await assert.rejects(client.clientCredentialsGrant(wrong), (e) => e.status === 401 || e.error === 'invalid_client')
  })
}

test('a person signs in, the ID token is checked by the library, and the API answers', async () => {
  for (const config of [await webBasic(), await discover('demo-cli', undefined, client.None())]) {
    const tokens = await signIn(config)
    assert.equal(tokens.claims().preferred_username, 'alice')
    const response = await client.fetchProtectedResource(config, tokens.access_token, new URL(`${api}/secure-data`), 'GET')
    assert.equal((await response.json()).username, 'alice')
    await assert.rejects(signIn(config, 'looking-glass'), { error: 'invalid_grant', status: 400 })
  }
})

test('the refresh token grant gives new tokens of the same person', async () => {
  const config = await webBasic()
  const first = await signIn(config)
  const second = await client.refreshTokenGrant(config, first.refresh_token)
  assert.notEqual(second.access_token, first.access_token)
  assert.notEqual(second.refresh_token, first.refresh_token)
  assert.equal(second.claims().sub, first.claims().sub)
  const narrow = await client.refreshTokenGrant(config, second.refresh_token, { scope: 'profile' })
  assert.equal(narrow.scope, 'profile')
  await assert.rejects(client.refreshTokenGrant(config, narrow.refresh_token, { scope: 'notes.write' }), { error: 'invalid_scope' })
  await assert.rejects(client.refreshTokenGrant(config, first.refresh_token), { error: 'invalid_grant' })
})

test('introspection knows a live token, and revocation ends it', async () => {
  const config = await webBasic()
  const tokens = await signIn(config)
  for (const [hint, token] of [['access_token', tokens.access_token], ['refresh_token', tokens.refresh_token]]) {
    const live = await client.tokenIntrospection(config, token, { token_type_hint: hint })
    assert.equal(live.active, true, hint)
    assert.equal(live.sub, tokens.claims().sub)
    assert.equal(live.client_id, 'demo-web')
  }
  await client.tokenRevocation(config, tokens.refresh_token, { token_type_hint: 'refresh_token' })
  for (const token of [tokens.access_token, tokens.refresh_token]) {
    assert.deepEqual(await client.tokenIntrospection(config, token), { active: false })
  }
  await assert.rejects(client.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' })
  await client.tokenRevocation(config, 'a token that never was') // RFC 7009 §2.2: no error
})

test('jose verifies an access token by the published keys, and refuses what differs in one fact', async () => {
  const config = await webBasic()
  const { access_token: token, id_token: idToken } = await signIn(config)
  const { payload, protectedHeader } = await verify(config, token)
  assert.equal(payload.username, 'alice')
  assert.equal(protectedHeader.alg, 'RS256')

  const [header, claims, signature] = token.split('.')
  const other = Buffer.from(JSON.stringify({ ...payload, username: 'bob' })).toString('base64url')
  await assert.rejects(verify(config, [header, other, signature].join('.')), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
  const turned = (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)
  await assert.rejects(verify(config, [header, claims, turned].join('.')), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
  await assert.rejects(verify(config, token, { issuer: issuer + '/' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
  await assert.rejects(verify(config, token, { audience: 'https://other.example' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
  await assert.rejects(verify(config, idToken), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })
})
