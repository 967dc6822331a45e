// A public client in the browser: authorization code with PKCE, tokens in memory only. The protocol is in the library
// beside this file; what is here is when to ask for what, and the page.
import * as oauth from './oauth4webapi.js'

const $ = (id) => document.getElementById(id)
$('main').setAttribute('aria-busy', 'true')
$('notice').textContent = 'One moment …'
const config = await (await fetch('/config.json')).json()
const client = { client_id: config.client_id }
// Plain http is for the own machine; an https issuer is held to https.
const options = () => ({
  [oauth.allowInsecureRequests]: config.issuer.startsWith('http:'),
  signal: AbortSignal.timeout(10_000),
})

let server // metadata of the authorization server
let tokens // { access, refresh, id, expires, claims }, or nothing when nobody is signed in
const tabs = new BroadcastChannel('demo-spa')

const away = new Promise(() => {}) // the page is on its way out

// ended means that the authorization server has ended the sign-in.
class Ended extends Error {}

async function discover() {
  const issuer = new URL(config.issuer)
  server ??= await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options()))
}

// signIn goes to the authorization server. prompt "none" asks whether the browser is signed in there already, without
// showing anything. What the answer is checked against waits in the storage of this tab; it is no token.
async function signIn(prompt) {
  await discover()
  const attempt = {
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    verifier: oauth.generateRandomCodeVerifier(),
    prompt,
  }
  sessionStorage.setItem('attempt', JSON.stringify(attempt))
  const url = new URL(server.authorization_endpoint)
  for (const [name, value] of Object.entries({
    client_id: config.client_id,
    redirect_uri: config.redirect_uri,
    response_type: 'code',
    scope: config.scope,
    state: attempt.state,
    nonce: attempt.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(attempt.verifier),
    code_challenge_method: 'S256',
    ...(prompt && { prompt }),
  })) url.searchParams.set(name, value)
  if (prompt) location.replace(url)
  else location.assign(url)
  return away
}

// finish takes the answer of the authorization server from the address.
async function finish(address) {
  const attempt = JSON.parse(sessionStorage.getItem('attempt') ?? 'null')
  sessionStorage.removeItem('attempt')
  if (!attempt) {
    // RFC 9700 §4.7: an answer to a question that this tab has not asked is not looked at, errors included. The back button
    // leads here as well, so the page asks a question of its own: who is signed in stays so.
    location.replace('/')
    return away
  }
  await discover()
  let answer
  try {
    answer = oauth.validateAuthResponse(server, client, address, attempt.state) // state and iss (RFC 9207)
  } catch (e) {
    if (attempt.prompt === 'none' && e instanceof oauth.AuthorizationResponseError) return // not signed in: no mistake
    throw e
  }
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), answer, config.redirect_uri, attempt.verifier, options())
  const result = await oauth.processAuthorizationCodeResponse(
    server, client, response, { expectedNonce: attempt.nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(server, response, options())
  keep(result, oauth.getValidatedIdTokenClaims(result))
}

function keep(result, claims) {
  tokens = {
    access: result.access_token,
    refresh: result.refresh_token ?? tokens?.refresh,
    id: result.id_token ?? tokens?.id,
    expires: Date.now() + (result.expires_in ?? 60) * 1000,
    claims: claims ?? tokens?.claims,
  }
}

// refresh gets a new access token in the place of `old`. One at a time, in all tabs: a refresh token is used once, and
// who has waited for the lock finds what the one before has fetched.
function refresh(old) {
  return navigator.locks.request('demo-spa-refresh', async () => {
    if (!tokens || tokens.access !== old) return
    if (!tokens.refresh) throw new Ended()
    try {
      const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens.refresh, options())
      const result = await oauth.processRefreshTokenResponse(server, client, response)
      if (result.id_token) {
        await oauth.validateApplicationLevelSignature(server, response, options())
        const claims = oauth.getValidatedIdTokenClaims(result)
        // OIDC Core §12.2: still the same person.
        if (claims.sub !== tokens.claims.sub) throw new Error('The refreshed ID token is about another person.')
      }
      keep(result)
    } catch (e) {
      if (e instanceof oauth.ResponseBodyError && e.error === 'invalid_grant') throw new Ended()
      throw e
    }
  })
}

// withToken calls with a token that is not at its end, and once more with a new one if it was refused all the same.
async function withToken(call) {
  if (!tokens) throw new Ended()
  if (Date.now() > tokens.expires - 10_000) await refresh(tokens.access)
  const used = tokens?.access
  try {
    return await call(used)
  } catch (e) {
    if (!(e instanceof oauth.WWWAuthenticateChallengeError) || e.status !== 401) throw e
    await refresh(used)
    if (!tokens) throw new Ended()
    return await call(tokens.access)
  }
}

// person asks the authorization server who it is; after a logout elsewhere this is refused.
const person = () => withToken(async (access) => oauth.processUserInfoResponse(
  server, client, tokens.claims.sub, await oauth.userInfoRequest(server, client, access, options())))

const secureData = () => withToken(async (access) => {
  const url = new URL(config.resource + '/secure-data')
  const response = await oauth.protectedResourceRequest(access, 'GET', url, new Headers(), null, options())
  if (!response.ok) throw new Error(`The resource server answered ${response.status}.`)
  return response.json()
})

async function signOut() {
  if (!tokens) return
  const { id } = tokens
  tokens = undefined
  tabs.postMessage('signed out')
  show()
  if (!server.end_session_endpoint) return
  const state = oauth.generateRandomState()
  sessionStorage.setItem('leaving', state)
  const url = new URL(server.end_session_endpoint)
  for (const [name, value] of Object.entries({
    id_token_hint: id, post_logout_redirect_uri: config.post_logout_redirect_uri, state,
  })) url.searchParams.set(name, value)
  location.assign(url)
}

// show puts what is known on the page; text only, never markup.
function show(info) {
  $('in').hidden = !tokens
  $('out').hidden = !!tokens
  $('notice').textContent = ''
  if (!tokens) {
    for (const id of ['name', 'email', 'sub', 'since', 'answer']) $(id).textContent = ''
    document.title = 'Demo single-page application'
    return
  }
  const { sub, auth_time: at } = tokens.claims
  $('sub').textContent = sub
  $('since').textContent = at ? new Date(at * 1000).toISOString().slice(11, 19) + ' UTC' : ''
  if (!info) return
  $('name').textContent = info.name ?? info.preferred_username ?? sub
  $('email').textContent = info.email ?? ''
  document.title = `${$('name').textContent} · Demo single-page application`
}

// reload asks both servers and shows what they say.
async function reload() {
  show(await person())
  $('answer').textContent = JSON.stringify(await secureData(), null, 2)
}

function explain(e) {
  if (e instanceof Ended) {
    tokens = undefined
    show()
    $('notice').textContent = 'Your sign-in has ended. Sign in again to go on.'
    return
  }
  show()
  console.warn(e.name, e.code ?? '')
  $('problem').textContent =
    e instanceof oauth.AuthorizationResponseError || e instanceof oauth.ResponseBodyError
      ? `The authorization server said: ${e.error}${e.error_description ? ` (${e.error_description})` : ''}`
      : e instanceof TypeError || e.name === 'TimeoutError'
        ? 'A server does not answer. It may still be starting: try again in a moment.'
        : e.message
}

// run does one thing after the other, in the order they were asked for.
let queue = Promise.resolve()
let waiting = 0
function run(work) {
  waiting++
  $('main').setAttribute('aria-busy', 'true')
  queue = queue.then(work).catch(explain).finally(() => {
    if (--waiting === 0) $('main').removeAttribute('aria-busy')
  })
  return queue
}
const act = (id, work) => $(id).addEventListener('click', () => run(() => {
  $('problem').textContent = ''
  $('notice').textContent = ''
  return work()
}))

// start runs once for each load of the page.
async function start() {
  const address = new URL(location.href)
  // The code and the state are nobody's business: neither the history's nor that of who looks over a shoulder.
  history.replaceState(null, '', '/')
  const leaving = sessionStorage.getItem('leaving')
  sessionStorage.removeItem('leaving')
  if (address.pathname === '/callback') {
    await finish(address)
  } else if (leaving && address.searchParams.get('state') === leaving) {
    show()
    $('notice').textContent = 'You are signed out.'
    return
  } else {
    await signIn('none') // once for each load: /callback never does it
  }
  show()
  if (tokens) await reload()
}

act('login', () => signIn())
act('call', reload)
act('refresh', async () => {
  if (!tokens) throw new Ended()
  await refresh(tokens.access)
  await reload()
  $('notice').textContent = 'The page has new tokens.'
})
act('logout', signOut)
// Who comes back to this tab sees at once whether they have signed out elsewhere.
const look = () => { if (tokens && waiting === 0 && document.visibilityState === 'visible') run(reload) }
document.addEventListener('visibilitychange', look)
window.addEventListener('focus', look)
tabs.addEventListener('message', () => {
  tokens = undefined
  show()
  $('notice').textContent = 'You have signed out in another tab.'
})
// A page that the browser kept while it was left starts anew.
window.addEventListener('pageshow', (e) => { if (e.persisted) location.reload() })
document.querySelectorAll('.other').forEach((a) => { a.href = config.other_app })
await run(start)
