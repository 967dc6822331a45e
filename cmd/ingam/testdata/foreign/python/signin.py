"""A client as people write it with Authlib, which signs people in. foreign_python_test.go runs it with unittest."""

import os
import unittest
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749.errors import MismatchingStateException
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidClaimError
from joserfc.jwk import KeySet

ISSUER, REDIRECT, AFTER = os.environ["ISSUER"], os.environ["REDIRECT"], os.environ["AFTER"]
METADATA = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=10).json()


def visit(url: str, browser: str = "first") -> dict:
    """Send alice to an address: she signs in, allows, and lands at the client."""
    answer = requests.get(os.environ["BROWSER"], params={"browser": browser, "url": url}, timeout=30)
    answer.raise_for_status()
    return answer.json()


def session(**more) -> OAuth2Session:
    return OAuth2Session(
        os.environ["CLIENT"],
        os.environ["SECRET"],
        redirect_uri=REDIRECT,
        scope="openid profile email",
        code_challenge_method="S256",
        token_endpoint=METADATA["token_endpoint"],
        **more,
    )


def validate(tokens: dict, nonce: str | None, client: str = os.environ["CLIENT"]) -> CodeIDToken:
    """Check an ID token as the framework integrations of Authlib do."""
    keys = KeySet.import_key_set(requests.get(METADATA["jwks_uri"], timeout=10).json())
    token = jwt.decode(tokens["id_token"], keys, algorithms=METADATA["id_token_signing_alg_values_supported"])
    claims = CodeIDToken(
        token.claims,
        token.header,
        {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": client}},
        {"nonce": nonce, "client_id": client, "access_token": tokens["access_token"], "max_age": 600},
    )
    claims.validate()
    return claims


class SignIn(unittest.TestCase):
    def ask(self, **more):
        """Return a session, where the browser came back to, and the verifier."""
        client, verifier = session(), generate_token(48)
        url, state = client.create_authorization_url(
            METADATA["authorization_endpoint"], code_verifier=verifier, nonce="n", **more
        )
        back = visit(url)["url"]
        self.assertTrue(back.startswith(REDIRECT + "?"), back)
        self.assertEqual(parse_qs(urlsplit(back).query)["iss"], [ISSUER])  # RFC 9207
        return client, back, state, verifier

    def test_code_with_pkce_id_token_userinfo_and_refresh(self):
        client, back, state, verifier = self.ask(max_age=600)
        tokens = client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
        claims = validate(tokens, "n")
        self.assertIn("at_hash", claims)
        info = client.get(METADATA["userinfo_endpoint"]).json()
        self.assertEqual((info["sub"], info["preferred_username"]), (claims["sub"], "alice"))
        data = client.get(os.environ["API"] + "/secure-data").json()
        self.assertEqual(data["username"], "alice")

        fresh = client.refresh_token()
        self.assertNotEqual(fresh["refresh_token"], tokens["refresh_token"])
        self.assertEqual(validate(fresh, None)["sub"], claims["sub"])
        self.assertEqual(client.introspect_token(METADATA["introspection_endpoint"]).json()["active"], True)
        client.revoke_token(METADATA["revocation_endpoint"], token_type_hint="access_token")
        with self.assertRaises(OAuthError) as refused:
            client.refresh_token(refresh_token=tokens["refresh_token"])
        self.assertEqual(refused.exception.error, "invalid_grant")

    def test_the_session_refreshes_by_itself(self):
        updates = []
        _, back, state, verifier = self.ask()
        client = session(update_token=lambda token, **_: updates.append(token))
        tokens = client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
        client.token = {**tokens, "expires_at": 1}
        self.assertEqual(client.get(METADATA["userinfo_endpoint"]).json()["name"], "Alice Liddell")
        self.assertEqual(len(updates), 1)

    def test_the_library_notices_another_state_nonce_audience_and_signature(self):
        client, back, state, verifier = self.ask()
        with self.assertRaises(MismatchingStateException):
            client.fetch_token(authorization_response=back, state="other", code_verifier=verifier)
        tokens = client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
        validate(tokens, "n")
        for wrong in ({"nonce": "other"}, {"nonce": "n", "client": "demo-web"}):
            with self.assertRaises(InvalidClaimError):
                validate(tokens, **wrong)
        with self.assertRaises(InvalidClaimError):  # at_hash
            validate({**tokens, "access_token": tokens["access_token"] + "x"}, "n")
        head, body, signature = tokens["id_token"].split(".")
        turned = ("B" if signature[0] == "A" else "A") + signature[1:]
        with self.assertRaises(BadSignatureError):
            validate({**tokens, "id_token": ".".join((head, body, turned))}, "n")

    def test_the_server_refuses_another_verifier_and_a_code_that_comes_twice(self):
        client, back, state, verifier = self.ask()
        with self.assertRaises(OAuthError) as refused:
            client.fetch_token(authorization_response=back, state=state, code_verifier=generate_token(48))
        self.assertEqual(refused.exception.error, "invalid_grant")
        client, back, state, verifier = self.ask()
        client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
        with self.assertRaises(OAuthError) as refused:
            client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
        self.assertEqual(refused.exception.error, "invalid_grant")

    def test_signing_out_leads_back_and_ends_the_tokens(self):
        client, verifier = session(), generate_token(48)
        url, state = client.create_authorization_url(METADATA["authorization_endpoint"], code_verifier=verifier, nonce="n")
        back = visit(url, "second")
        tokens = client.fetch_token(authorization_response=back["url"], state=state, code_verifier=verifier)
        out = requests.Request(
            "GET",
            METADATA["end_session_endpoint"],
            params={"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER, "state": "out"},
        )
        landed = visit(out.prepare().url, "second")
        self.assertEqual((landed["url"], landed["asked"]), (AFTER + "?state=out", []))
        self.assertEqual(client.get(METADATA["userinfo_endpoint"]).status_code, 401)
        with self.assertRaises(OAuthError) as refused:
            client.refresh_token()
        self.assertEqual(refused.exception.error, "invalid_grant")


if __name__ == "__main__":
    unittest.main()
