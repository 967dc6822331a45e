// Clients that sign people in, with openid-client as it comes: discovery, pushed requests, keys instead of secrets,
// request objects, sign-out. foreign_node_test.go starts the server and registers the clients.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as client from 'openid-client'
import * as jose from 'jose'
import { posted, visit } from './browser.mjs'

const { ISSUER: issuer, REDIRECT: redirect_uri, AFTER: after } = process.env
const jwk = JSON.parse(process.env.KEY)
const key = { key: await jose.importJWK(jwk, 'ES256'), kid: jwk.kid }

// discover configures a client that checks the signature of each ID token, which over TLS it need not.
const discover = (id, auth, metadata) =>
  client.discovery(new URL(issuer), id, metadata, auth, { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] })

const withKey = (k = key) => discover('js-key', client.PrivateKeyJwt(k))
const withSecret = () => discover('js-secret', client.ClientSecretBasic(process.env.SECRET))

// ask makes the parameters of a request, and what the answer must fit.
async function ask(more = {}) {
  const checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState(), expectedNonce: client.randomNonce(),
    idTokenExpected: true,
  }
  const parameters = {
    redirect_uri, scope: 'openid profile email', state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier), code_challenge_method: 'S256', ...more,
  }
  return { parameters, checks }
}

test('a client with a key pushes its request, and all that follows passes the checks of the library', async () => {
  const config = await withKey()
  const { parameters, checks } = await ask({ max_age: '300' })
  const url = await client.buildAuthorizationUrlWithPAR(config, parameters)
  assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri'])
  const back = await visit(url.href, 'key')
  assert.deepEqual(back.asked, ['/login', '/consent'])
  const tokens = await client.authorizationCodeGrant(config, new URL(back.url), { ...checks, maxAge: 300 })
  const claims = tokens.claims()
  assert.deepEqual(claims.amr, ['pwd'])
  const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
  assert.equal(info.preferred_username, 'alice')
  assert.equal(info.email_verified, true)
  await assert.rejects(client.fetchUserInfo(config, tokens.access_token, 'another'), { code: 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED' })

  const next = await client.refreshTokenGrant(config, tokens.refresh_token)
  assert.equal(next.claims().sub, claims.sub)
  const out = client.buildEndSessionUrl(config, { id_token_hint: next.id_token, post_logout_redirect_uri: after, state: 'out' })
  const signedOut = await visit(out.href, 'key')
  assert.equal(signedOut.url, `${after}?state=out`)
  assert.deepEqual(signedOut.asked, [])
  await assert.rejects(client.refreshTokenGrant(config, next.refresh_token), { error: 'invalid_grant' })
  await assert.rejects(client.fetchUserInfo(config, next.access_token, claims.sub), (e) => e.status === 401 || e.code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
})

test('another key pushes nothing, and what must be pushed cannot be asked otherwise', async () => {
  const { privateKey } = await jose.generateKeyPair('ES256')
  const { parameters } = await ask()
  // With each 401 comes a challenge (RFC 9110 section 15.5.2), and the library tells of that before it reads the body.
  const error = await client.buildAuthorizationUrlWithPAR(await withKey({ key: privateKey, kid: jwk.kid }), parameters).catch((e) => e)
  assert.equal(error.status, 401)
  assert.equal((await error.response.json()).error, 'invalid_client')
  const back = await visit(client.buildAuthorizationUrl(await withKey(), parameters).href)
  assert.deepEqual(back.asked, [])
  await assert.rejects(client.authorizationCodeGrant(await withKey(), new URL(back.url), { expectedState: parameters.state }),
    { error: 'invalid_request', code: 'OAUTH_AUTHORIZATION_RESPONSE_ERROR' })
})

test('a pushed request is good for one code and for its own client', async () => {
  const config = await withKey()
  const { parameters, checks } = await ask()
  const url = await client.buildAuthorizationUrlWithPAR(config, parameters)
  const stolen = new URL(url)
  stolen.searchParams.set('client_id', 'js-secret')
  assert.equal((await visit(stolen.href)).url, '')
  await client.authorizationCodeGrant(config, new URL((await visit(url.href)).url), checks)
  assert.equal((await visit(url.href)).url, '')
})

test('the library notices another state, issuer and nonce; the server another verifier, and a code that comes twice', async () => {
  const config = await withSecret()
  const get = async () => {
    const { parameters, checks } = await ask()
    const back = await visit(client.buildAuthorizationUrl(config, parameters).href)
    return { url: new URL(back.url), checks }
  }
  const { url, checks } = await get()
  const mixedUp = new URL(url)
  mixedUp.searchParams.set('iss', 'https://other.example')
  const withoutIssuer = new URL(url)
  withoutIssuer.searchParams.delete('iss') // RFC 9207: the metadata says that it is always there
  for (const [at, more] of [[url, { expectedState: 'other' }], [mixedUp, {}], [withoutIssuer, {}]]) {
    await assert.rejects(client.authorizationCodeGrant(config, at, { ...checks, ...more }), { code: 'OAUTH_INVALID_RESPONSE' })
  }
  await client.authorizationCodeGrant(config, url, checks) // nothing of that has reached the server
  await assert.rejects(client.authorizationCodeGrant(config, url, checks), { error: 'invalid_grant' })

  const nonce = await get()
  await assert.rejects(client.authorizationCodeGrant(config, nonce.url, { ...nonce.checks, expectedNonce: 'other' }),
    { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' })
  const verifier = await get()
  await assert.rejects(client.authorizationCodeGrant(config, verifier.url, { ...verifier.checks, pkceCodeVerifier: client.randomPKCECodeVerifier() }),
    { error: 'invalid_grant' })
  await assert.rejects(client.authorizationCodeGrant(config, verifier.url, verifier.checks), { error: 'invalid_grant' }) // it is burnt
})

test('nobody is asked with prompt=none, and the client is told that nobody is signed in', async () => {
  const config = await withSecret()
  const { parameters, checks } = await ask({ prompt: 'none' })
  const back = await visit(client.buildAuthorizationUrl(config, parameters).href, 'fresh')
  assert.deepEqual(back.asked, [])
  await assert.rejects(client.authorizationCodeGrant(config, new URL(back.url), checks), { error: 'login_required' })
})

test('the answer may come by POST', async () => {
  const config = await withSecret()
  const { parameters, checks } = await ask({ response_mode: 'form_post' })
  const tokens = await client.authorizationCodeGrant(config, posted(await visit(client.buildAuthorizationUrl(config, parameters).href)), checks)
  assert.match(tokens.claims().sub, /^usr_/)
})

test('a client that signs its requests gets signed userinfo, and sees another sub than others', async () => {
  const config = await discover('js-jar', client.PrivateKeyJwt(key), { userinfo_signed_response_alg: 'RS256' })
  const { parameters, checks } = await ask()
  const unsigned = await visit(client.buildAuthorizationUrl(config, parameters).href)
  await assert.rejects(client.authorizationCodeGrant(config, new URL(unsigned.url), checks), { code: 'OAUTH_AUTHORIZATION_RESPONSE_ERROR' })
  const back = await visit((await client.buildAuthorizationUrlWithJAR(config, parameters, key)).href)
  const tokens = await client.authorizationCodeGrant(config, new URL(back.url), checks)
  const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
  assert.equal(info.email, 'alice@example.test')
  const others = await withSecret()
  const { parameters: theirs, checks: fit } = await ask()
  const theirTokens = await client.authorizationCodeGrant(others, new URL((await visit(client.buildAuthorizationUrl(others, theirs).href)).url), fit)
  assert.notEqual(info.sub, theirTokens.claims().sub) // pairwise
})
