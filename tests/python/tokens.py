"""Tokens signed by PyJWT, and what attackers make of them."""

import base64
import hashlib
import hmac
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kit import Server, equal, scenario

SECRET = b"0123456789abcdef0123456789abcdef"


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Keys:
    """One key for each algorithm, and the server that believes them."""

    def __init__(self):
        self.private = {
            "HS256": SECRET,
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.strange = {
            "HS256": b"another secret, just as long as the right one is",
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }

    def server(self, algorithms=("HS256", "RS256", "ES256", "EdDSA"), claims='audience = "pikiosk"\nissuer = "tests"\n'):
        toml = ""
        for algorithm in algorithms:
            what = "secret_file" if algorithm == "HS256" else "public_key_file"
            toml += f'[[auth.jwt]]\nid = "key-{algorithm}"\nalgorithm = "{algorithm}"\n{what} = "FOLDER/{algorithm}"\n{claims}'
        server = Server(toml)
        for algorithm in algorithms:
            key = self.private[algorithm]
            (server.folder / algorithm).write_bytes(key + b"\n" if algorithm == "HS256" else pem(key))
        return server

    def sign(self, algorithm, kid=True, headers=None, key=None, **claims):
        headers = {**({"kid": f"key-{algorithm}"} if kid is True else {"kid": kid} if kid else {}), **(headers or {})}
        return jwt.encode(good(**claims), key or self.private[algorithm], algorithm, headers=headers)


def good(**claims):
    all_claims = {"sub": "ada", "exp": int(time.time()) + 60, "aud": "pikiosk", "iss": "tests", **claims}
    return {name: value for name, value in all_claims.items() if value is not None}


def b64(data):
    data = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header, claims, sign=lambda text: b""):
    text = f"{b64(header)}.{b64(claims)}"
    return f"{text}.{b64(sign(text.encode()))}"


def hs256(secret):
    return lambda text: hmac.new(secret, text, hashlib.sha256).digest()


@scenario
def tokens_of_pyjwt_in_four_algorithms_open_a_socket_with_and_without_kid():
    keys = Keys()
    with keys.server() as server:
        for algorithm in keys.private:
            for kid in (True, False):
                with server.socket(keys.sign(algorithm, kid)) as opened:
                    equal(opened.hello["addresses"], ["user/ada"], algorithm)
        now = int(time.time())
        with server.socket(keys.sign("EdDSA", nbf=now - 5, iat=now, jti="x", aud=["other", "pikiosk"])) as opened:
            equal(opened.hello["addresses"], ["user/ada"])
        with server.socket(keys.sign("HS256", sub="Ünï/codé .all")) as opened:
            equal(opened.hello["addresses"], ["user/Ünï/codé .all"])


@scenario
def forged_expired_and_misdirected_tokens_get_401_and_nothing_else():
    keys = Keys()
    now = int(time.time())
    with keys.server() as server:
        bad = {}
        for algorithm in keys.private:
            token = keys.sign(algorithm)
            head, body, signature = token.split(".")
            bad |= {
                f"{algorithm}: expired": keys.sign(algorithm, exp=now - 31),
                f"{algorithm}: not yet": keys.sign(algorithm, nbf=now + 120),
                f"{algorithm}: without exp": keys.sign(algorithm, exp=None),
                f"{algorithm}: without sub": keys.sign(algorithm, sub=None),
                f"{algorithm}: wrong aud": keys.sign(algorithm, aud="another"),
                f"{algorithm}: wrong auds": keys.sign(algorithm, aud=["another", "pikiosk2"]),
                f"{algorithm}: without aud": keys.sign(algorithm, aud=None),
                f"{algorithm}: wrong iss": keys.sign(algorithm, iss="another"),
                f"{algorithm}: without iss": keys.sign(algorithm, iss=None),
                f"{algorithm}: unknown kid": keys.sign(algorithm, "another"),
                f"{algorithm}: another key's kid": keys.sign(algorithm, "key-ES256" if algorithm != "ES256" else "key-RS256"),
                f"{algorithm}: empty kid": by_hand_signed(keys, algorithm, {"alg": algorithm, "kid": ""}),
                f"{algorithm}: a path as kid": keys.sign(algorithm, "../../../../dev/null"),
                f"{algorithm}: an SQL kid": keys.sign(algorithm, "x' UNION SELECT '0"),
                f"{algorithm}: a strange key": keys.sign(algorithm, key=keys.strange[algorithm]),
                f"{algorithm}: a strange key, no kid": keys.sign(algorithm, False, key=keys.strange[algorithm]),
                f"{algorithm}: another body": f"{head}.{b64(good(sub='root', operator=True))}.{signature}",
                f"{algorithm}: no signature": f"{head}.{body}.",
                f"{algorithm}: half a signature": f"{head}.{body}.{signature[: len(signature) // 2]}",
                f"{algorithm}: a longer signature": f"{head}.{body}.{signature}AAAA",
                f"{algorithm}: alg in small letters": by_hand_signed(keys, algorithm, {"alg": algorithm.lower(), "kid": f"key-{algorithm}"}),
                f"{algorithm}: a critical header": keys.sign(algorithm, headers={"crit": ["exp2"], "exp2": 1}),
                f"{algorithm}: two parts": f"{head}.{body}",
                f"{algorithm}: four parts": f"{token}.x",
                f"{algorithm}: padded": f"{head}=.{body}.{signature}",
            }
        for none in ("none", "None", "NONE", "nOnE", ""):
            for kid in (None, "key-HS256", "key-RS256"):
                header = {"alg": none, "typ": "JWT", **({"kid": kid} if kid else {})}
                bad[f"alg {none!r} {kid}"] = by_hand(header, good())
                bad[f"alg {none!r} {kid}, with a signature"] = by_hand(header, good(), hs256(SECRET))
        bad["alg missing"] = by_hand({"typ": "JWT"}, good(), hs256(SECRET))
        bad["PyJWT's none"] = jwt.encode(good(), None, "none")
        # The public key as the HMAC secret: everybody has it.
        for algorithm in ("RS256", "ES256", "EdDSA"):
            public = keys.private[algorithm].public_key()
            der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
            for name, secret in (("PEM", pem(keys.private[algorithm])), ("PEM, no newline", pem(keys.private[algorithm]).strip()), ("DER", der)):
                for kid in (None, f"key-{algorithm}", "key-HS256"):
                    header = {"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})}
                    bad[f"HS256 with the public {algorithm} key in {name}, kid {kid}"] = by_hand(header, good(), hs256(secret))
        # A right signature under a header that names another of the algorithms.
        for algorithm in keys.private:
            for claimed in keys.private:
                for kid in (None, f"key-{claimed}", f"key-{algorithm}"):
                    header = {"alg": claimed, "typ": "JWT", **({"kid": kid} if kid else {})}
                    if claimed != algorithm:
                        bad[f"{algorithm} that says {claimed}, kid {kid}"] = by_hand_signed(keys, algorithm, header)
        bad["HS256 with an empty secret"] = by_hand({"alg": "HS256", "kid": "key-HS256"}, good(), hs256(b""))
        bad["HS256 with the file's newline in the secret"] = by_hand({"alg": "HS256", "kid": "key-HS256"}, good(), hs256(SECRET + b"\n"))
        bad["HS512"] = jwt.encode(good(), SECRET * 2, "HS512", headers={"kid": "key-HS256"})
        bad["RS512"] = jwt.encode(good(), keys.private["RS256"], "RS512", headers={"kid": "key-RS256"})
        bad["PS256"] = jwt.encode(good(), keys.private["RS256"], "PS256", headers={"kid": "key-RS256"})
        bad["ES256 signed with zeros"] = by_hand({"alg": "ES256", "kid": "key-ES256"}, good(), lambda _: bytes(64))
        public = ed25519.Ed25519PrivateKey.generate()
        own = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_key().public_bytes_raw())}
        for name, header in (("jwk", {"jwk": own}), ("jku", {"jku": f"{server.origin}/healthz"}), ("x5u", {"x5u": f"{server.origin}/"})):
            bad[f"a key brought along as {name}"] = jwt.encode(good(), public, "EdDSA", headers=header)
        for name, claims in {
            "exp as text": good(exp=str(now + 60)),
            "exp as a list": good(exp=[now + 60]),
            "exp negative": good(exp=-1),
            "exp true": good(exp=True),
            "nbf as text": good(nbf="soon"),
            "nbf far": good(nbf=1 << 62),
            "sub as a number": good(sub=7),
            "sub as an object": good(sub={"name": "ada"}),
            "sub empty": good(sub=""),
            "sub too long": good(sub="x" * 5000),
            "sub with a line break": good(sub="a\nb"),
            "aud as a number": good(aud=7),
            "addr as text": good(addr="all"),
            "addr of nowhere": good(addr=["nowhere"]),
            "addr as numbers": good(addr=[1]),
            "operator as text": good(operator="true"),
            "a display that is not enrolled": good(display="attic"),
            "a display with a bad name": good(display="../x"),
        }.items():
            bad[name] = by_hand({"alg": "HS256", "typ": "JWT", "kid": "key-HS256"}, claims, hs256(SECRET))
        raw_claims = {
            "exp without end": f'{{"sub":"ada","aud":"pikiosk","iss":"tests","exp":1e400}}',
            "exp twice": f'{{"sub":"ada","aud":"pikiosk","iss":"tests","exp":1,"exp":{now + 60}}}',
            "not an object": "[]",
            "not JSON": "{",
            "deep": '{"a":' * 2000 + "1" + "}" * 2000,
            "not UTF-8": b"\xff\xfe",
        }
        for name, claims in raw_claims.items():
            claims = claims.encode() if isinstance(claims, str) else claims
            bad[name] = by_hand({"alg": "HS256", "kid": "key-HS256"}, claims, hs256(SECRET))
        bad |= {"dots": "..", "three dots": "...", "long": "a" * 15000, "odd letters": "%00.%00.%00"}
        for name, token in bad.items():
            for how in ("header", "token"):
                try:
                    server.refused(token, how)
                except Exception as error:
                    raise AssertionError(f"{name} by {how}: {error}") from error
        for algorithm in keys.private:
            server.socket(keys.sign(algorithm)).close()


def by_hand_signed(keys, algorithm, header):
    """Signs a header that PyJWT would not write."""
    signer = jwt.algorithms.get_default_algorithms()[algorithm]
    key = signer.prepare_key(keys.private[algorithm])
    return by_hand(header, good(), lambda text: signer.sign(text, key))


@scenario
def leeway_is_at_most_thirty_seconds_to_either_side():
    keys = Keys()
    with keys.server(["HS256"]) as server:
        now = int(time.time())
        server.refused(keys.sign("HS256", exp=now - 31))
        server.refused(keys.sign("HS256", nbf=now + 33))
        server.refused(keys.sign("HS256", exp=now - 10**9))


@scenario
def a_server_without_keys_believes_no_token():
    keys = Keys()
    with keys.server([]) as server:
        for algorithm in keys.private:
            server.refused(keys.sign(algorithm))
        server.refused(jwt.encode(good(), None, "none"))
        server.socket(server.ticket("ada")).close()


@scenario
def without_an_audience_configured_a_token_that_names_one_is_refused():
    keys = Keys()
    with keys.server(["HS256"], claims="") as server:
        server.socket(keys.sign("HS256", aud=None)).close()
        server.refused(keys.sign("HS256", aud="pikiosk"))


@scenario
def an_operator_token_manages_and_a_display_token_is_that_display():
    keys = Keys()
    with keys.server(["EdDSA"]) as server:
        server.enroll("lobby")
        operator = keys.sign("EdDSA", operator=True)
        equal(server.request("GET", "/v1/displays", key=operator).status, 200)
        equal(server.publish("display/lobby", "kiosk.reload", {}, key=operator).status, 202)
        server.request("GET", "/v1/displays", key=keys.sign("EdDSA", operator=False)).problem(403)
        server.request("GET", "/v1/displays", key=keys.sign("EdDSA", exp=1, operator=True)).problem(401)
        with server.socket(keys.sign("EdDSA", display="lobby")) as opened:
            assert "display/lobby" in opened.hello["addresses"], opened.hello
            opened.resume()
            opened.receipt(opened.read("kiosk.reload"), "done")
        # A user called like a display is a user.
        with server.socket(keys.sign("EdDSA", sub="lobby")) as opened:
            equal(opened.hello["addresses"], ["user/lobby"])
