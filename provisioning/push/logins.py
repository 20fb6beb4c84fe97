"""Which logins a gateway is tried with."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import yaml
from pydantic import SecretStr

from provisioning.mac_vendors import normalise_mac
from provisioning.push.dialogues import Dialogue


@dataclass(frozen=True)
class Login:
    """A user of the gateway's command line."""

    username: str
    password: str = field(repr=False)


def logins_for(
    dialogue: Dialogue, configured: Mapping[str, Sequence[SecretStr]], mac: str | None = None
) -> list[Login]:
    """The logins to try, in order, each once.

    `configured` is the setting `GATEWAY_LOGINS`: `user:password` texts by MAC address, dialogue
    (`trinity`) or vendor (`Patton`), in any case; the nearest goes first. The factory's login
    comes last, because a gateway that was just unpacked or reset has no other.
    """
    names = {_key(name): texts for name, texts in configured.items()}
    logins: list[Login] = []
    for name in (mac, dialogue.name, dialogue.vendor):
        for text in names.get(_key(name), ()) if name else ():
            username, _, password = text.get_secret_value().partition(":")
            logins.append(Login(username, password))
    logins.append(_factory_logins()[dialogue.name])
    return list(dict.fromkeys(logins))


def _key(name: str) -> str:
    return normalise_mac(name) or name.strip().lower()


@functools.cache
def _factory_logins() -> dict[str, Login]:
    text = (files("provisioning") / "data" / "gateway_logins.yaml").read_text("utf-8")
    return dict(_parse(text))


def _parse(text: str) -> Iterator[tuple[str, Login]]:
    for name, login in yaml.safe_load(text).items():
        yield name, Login(login["username"], login["password"])
