// Package apps has two small client applications that share one login: Web runs on a server and keeps a secret, SPA runs
// in the browser and can keep none. Both are ordinary OpenID Connect clients that know nothing of this module: what they
// do is what an application of yours would do, with the libraries that one would use for it.
package apps
