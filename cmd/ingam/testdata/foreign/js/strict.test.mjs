// The same as a library would do it: oauth4webapi, whose functions check each answer by itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { posted, visit } from './browser.mjs'

const { ISSUER: issuer, REDIRECT: redirect, API_AUDIENCE: audience } = process.env
const http = { [oauth.allowInsecureRequests]: true }
const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), http))

const web = { client: { client_id: 'js-secret' }, auth: oauth.ClientSecretBasic(process.env.SECRET), redirect }
const post = { ...web, auth: oauth.ClientSecretPost(process.env.SECRET) }
const spa = { client: { client_id: 'demo-spa' }, auth: oauth.None(), redirect: process.env.SPA_REDIRECT }

// ask makes a request, has the person do their part, and returns what has come back with what it must fit.
async function ask({ client, redirect }, more = {}, push) {
  const verifier = oauth.generateRandomCodeVerifier()
  const sent = {
    client_id: client.client_id, redirect_uri: redirect, response_type: 'code', scope: 'openid profile email',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), ...more,
  }
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams(push ? await push(sent) : sent)
  return { back: await visit(url.href), verifier, sent }
}

// redeem takes an answer by GET through the checks of the library.
async function redeem({ client, auth, redirect }, { back, verifier, sent }, checks = {}) {
  const parameters = oauth.validateAuthResponse(as, client, new URL(back.url), sent.state)
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, redirect, verifier, http)
  const kept = response.clone()
  const result = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: sent.nonce, requireIdToken: true, ...checks })
  await oauth.validateApplicationLevelSignature(as, response, http)
  return { result, claims: oauth.getValidatedIdTokenClaims(result), headers: kept.headers }
}

for (const [name, party] of Object.entries({ 'a secret in the header': web, 'a secret in the form': post, 'no secret': spa })) {
  test(`with ${name}: code, ID token, access token, userinfo, refresh`, async () => {
    const { client, auth } = party
    const { result, claims, headers } = await redeem(party, await ask(party, { max_age: '600' }), { maxAge: 600 })
    assert.match(headers.get('cache-control'), /no-store/)
    const access = await oauth.validateJwtAccessToken(as, new Request('http://api.example', {
      headers: { authorization: `Bearer ${result.access_token}` },
    }), audience, http) // RFC 9068 section 4
    assert.equal(access.client_id, client.client_id)
    const info = await oauth.processUserInfoResponse(as, client, claims.sub, await oauth.userInfoRequest(as, client, result.access_token, http))
    assert.equal(info.name, 'Alice Liddell')
    const response = await oauth.refreshTokenGrantRequest(as, client, auth, result.refresh_token, http)
    const next = await oauth.processRefreshTokenResponse(as, client, response)
    await oauth.validateApplicationLevelSignature(as, response, http)
    assert.equal(oauth.getValidatedIdTokenClaims(next).sub, claims.sub)
    assert.notEqual(next.refresh_token, result.refresh_token)
  })
}

test('a pushed request', async () => {
  const push = async (sent) => {
    const response = await oauth.pushedAuthorizationRequest(as, web.client, web.auth, new URLSearchParams(sent), http)
    const { request_uri } = await oauth.processPushedAuthorizationResponse(as, web.client, response)
    return { client_id: web.client.client_id, request_uri }
  }
  assert.equal((await redeem(web, await ask(web, {}, push))).claims.aud, 'js-secret')
})

test('the answer by POST', async () => {
  const answer = await ask(web, { response_mode: 'form_post' })
  const body = await oauth.formPostResponse(posted(answer.back))
  const url = new URL(`${redirect}?${body}`)
  assert.ok((await redeem(web, { ...answer, back: { url: url.href } })).claims.sub)
})

test('introspection sees a live token, and revocation ends the refresh token with all that came of it', async () => {
  const { result, claims } = await redeem(web, await ask(web))
  const look = async (token) => oauth.processIntrospectionResponse(as, web.client, await oauth.introspectionRequest(as, web.client, web.auth, token, http))
  for (const token of [result.access_token, result.refresh_token]) {
    const live = await look(token)
    assert.equal(live.active, true)
    assert.equal(live.sub, claims.sub)
    assert.equal(live.iss, issuer)
  }
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, web.client, web.auth, result.refresh_token, http))
  for (const token of [result.access_token, result.refresh_token]) assert.equal((await look(token)).active, false)
  await assert.rejects(async () => oauth.processRefreshTokenResponse(as, web.client,
    await oauth.refreshTokenGrantRequest(as, web.client, web.auth, result.refresh_token, http)), { error: 'invalid_grant', status: 400 })
})

test('prompt=login asks somebody who is signed in, and the ID token says when', async () => {
  const first = await redeem(web, await ask(web))
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const response = await oauth.refreshTokenGrantRequest(as, web.client, web.auth, first.result.refresh_token, http)
  const refreshed = oauth.getValidatedIdTokenClaims(await oauth.processRefreshTokenResponse(as, web.client, response))
  assert.equal(refreshed.auth_time, first.claims.auth_time) // OIDC Core section 12.2
  const asked = await ask(web, { prompt: 'login' })
  assert.deepEqual(asked.back.asked, ['/login'])
  const again = await redeem(web, asked, { maxAge: 60 })
  assert.ok(again.claims.auth_time > first.claims.auth_time)
  const unasked = await ask(web, { prompt: 'none' })
  assert.deepEqual(unasked.back.asked, [])
  assert.equal((await redeem(web, unasked)).claims.auth_time, again.claims.auth_time)
})

test('errors arrive as the specifications say', async () => {
  const badObject = await ask(web, { request: 'no.request.object' })
  assert.throws(() => oauth.validateAuthResponse(as, web.client, new URL(badObject.back.url), badObject.sent.state), { error: 'invalid_request_object' })
  // OIDC Core section 3.1.2.1: what is no scope of this client is ignored, and the answer says what was granted.
  assert.equal((await redeem(web, await ask(web, { scope: 'openid nothing.like.it' }))).result.scope, 'openid')
  const noPKCE = await ask(spa, { code_challenge_method: 'plain' })
  assert.throws(() => oauth.validateAuthResponse(as, spa.client, new URL(noPKCE.back.url), noPKCE.sent.state), { error: 'invalid_request' })
  const elsewhere = await ask(web, { redirect_uri: redirect + '/' })
  assert.equal(elsewhere.back.url, '') // a page, and no redirect (A1)
  assert.equal(elsewhere.back.status, 400)
  const answer = await ask(web)
  await assert.rejects(redeem({ ...web, auth: oauth.ClientSecretBasic('wrong') }, answer), (e) => e.status === 401)
  await assert.rejects(redeem(web, await ask(web), { maxAge: 1e9, expectedNonce: 'other' }), { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' })
})
