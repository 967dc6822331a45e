// The browser of these tests: alice, who signs in where she is asked to and allows what she is asked for. Each name is a
// browser of its own. The answer is where she lands ({ url, form }, or { status, page }) and which forms she was asked to
// send.
export async function visit(url, browser = 'first') {
  const response = await fetch(`${process.env.BROWSER}/?${new URLSearchParams({ browser, url })}`)
  if (!response.ok) throw new Error(await response.text())
  return response.json()
}

// posted is the request that the browser sends to the client with response_mode=form_post.
export function posted({ url, form }) {
  const body = new URLSearchParams(Object.entries(form).flatMap(([name, values]) => values.map((value) => [name, value])))
  return new Request(url, { method: 'POST', body })
}
