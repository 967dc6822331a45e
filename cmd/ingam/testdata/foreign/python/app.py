"""An API as people write it with FastAPI, which trusts the tokens of one issuer. foreign_test.go runs it with uvicorn."""

import os
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]

app = FastAPI()
oauth2_scheme = OAuth2PasswordBearer(tokenUrl=f"{ISSUER}/oauth2/token")
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json")


def current_claims(token: Annotated[str, Depends(oauth2_scheme)]) -> dict:
    try:
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":  # RFC 9068 section 4
            raise jwt.InvalidTokenError("not an access token")
        return jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["RS256"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": ["exp", "iat", "sub", "jti", "client_id"]},
        )
    except (jwt.InvalidTokenError, jwt.PyJWKClientError) as e:
        raise HTTPException(401, "Invalid token", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from e


@app.get("/secure-data")
def secure_data(claims: Annotated[dict, Depends(current_claims)]) -> dict:
    return {"username": claims.get("username"), "sub": claims["sub"]}
