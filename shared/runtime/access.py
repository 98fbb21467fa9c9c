"""Who asks over HTTP, and what they may do (X4)."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.security import HTTPBearer

from shared.runtime.commands import answer_of
from shared.runtime.messages import Command, Refused, Status
from shared.runtime.problems import AGAIN
from shared.runtime.tracing import known_trace
from shared.runtime.wording import plain
from shared.values import Actor, ActorKind, Reason, Role, Value

if TYPE_CHECKING:
    from shared.runtime.running import Runtime

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_bearer = HTTPBearer(auto_error=False, description="A token made by `handover token create`.")


class Because(Value):
    """Why somebody does it; kept (O12)."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and under which idempotency key. `trace` is the W3C traceparent that came."""

    runtime: "Runtime"
    actor: Actor
    key: str | None
    trace: str | None
    response: Response

    async def do(self, command: Command) -> Any:
        """Take a command through a turn; its answer, or a problem. A repeated answer says so in a header."""
        outcome = await self.runtime.commands.tell(command, self.actor, key=self.key, trace=self.trace)
        if outcome.status is Status.DUPLICATE:
            self.response.headers[AGAIN] = "true"
        return answer_of(outcome)


def allow(
    role: Role = Role.ORDINARY, *, kinds: set[ActorKind] | None = None
) -> Callable[..., Awaitable[Asked]]:
    """A dependency that lets in whoever holds the role or a higher one; 401 without a token, 403 with too little."""

    async def asked(request: Request, response: Response, _: Annotated[Any, Depends(_bearer)]) -> Asked:
        runtime: Runtime = request.app.state.runtime
        actor = runtime.tokens.actor_of_headers(request.headers)
        if not actor.role.includes(role):
            raise Refused(
                "role_too_low",
                f"this needs the role {role.value}; yours is {actor.role.value}",
                field="authorization",
                status=403,
            )
        if kinds and actor.kind not in kinds:
            who = " or ".join(sorted(k.value for k in kinds))
            raise Refused(
                "wrong_kind",
                f"this is for {who} tokens; yours is of a {actor.kind.value}",
                field="authorization",
                status=403,
            )
        key = request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            detail = "an Idempotency-Key has 1 to 200 visible ASCII characters"
            raise Refused("invalid", detail, field="idempotency-key", status=422)
        _refuse_strange_parameters(request)
        return Asked(runtime, actor, key, known_trace(request.headers.get("traceparent")), response)

    return asked


def _refuse_strange_parameters(request: Request) -> None:
    """A filter whose name is misspelled would be no filter at all, and of two values one would be none."""
    known = [param.alias for param in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            detail = f"{plain(name)} is no parameter of this address; {takes}"
            raise Refused("invalid", detail, field=plain(name), status=422)
        if len(request.query_params.getlist(name)) > 1:
            raise Refused(
                "invalid", f"{name} is given more than once; it takes one value", field=name, status=422
            )


Anyone = Annotated[Asked, Depends(allow())]
Person = Annotated[Asked, Depends(allow(kinds={ActorKind.OPERATOR}))]
"""People of the shop, whether at a desk or at a scanner; systems and buyers have the inbox."""
OnTheFloor = Annotated[Asked, Depends(allow(kinds={ActorKind.OPERATOR, ActorKind.DEVICE}))]
"""The same, and the printers and scanners of the warehouse."""
BackOffice = Annotated[Asked, Depends(allow(Role.BACK_OFFICE))]
Administrator = Annotated[Asked, Depends(allow(Role.ADMINISTRATOR))]
Supervisor = Annotated[Asked, Depends(allow(Role.BACK_OFFICE, kinds={ActorKind.OPERATOR}))]
"""People of the back office."""
AdministratorPerson = Annotated[Asked, Depends(allow(Role.ADMINISTRATOR, kinds={ActorKind.OPERATOR}))]
"""People with an administrator's role."""
PersonOrShop = Annotated[Asked, Depends(allow(kinds={ActorKind.OPERATOR, ActorKind.SYSTEM}))]
"""People of the shop, and its systems."""
