"""Which upstream answers: the plan first, Bedrock when it must, and never two answers spliced (SPEC section 4).

`route()` is pure; `Gateway.open()` is the only loop over upstreams. Knows no HTTP and no vendor: a provider commits or
raises `UpstreamError`, the table in `faults.py` says what follows. Invariant: every admission of a circuit is settled exactly
once, by this file or, for a stream under way, by the relay that gets it with the reply; an answer that is not used is closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from core.spend_rows import Owner
from core.types import ProviderName, Strategy
from proxy_app.bedrock.models import ModelCatalogue
from proxy_app.call import Call, Outcome, Reply
from proxy_app.circuits import CircuitName, Circuits, Pass
from proxy_app.circuits import Refused as Skipped
from proxy_app.errors import Refused, error_reply
from proxy_app.faults import POLICY, Fault, NotAsked, UpstreamError
from proxy_app.providers import Provider
from proxy_app.spending import Reservation
from proxy_app.upstream_socket import Severed


def route(call: Call, *, bedrock_serves: bool) -> tuple[ProviderName, ...]:
    """The upstreams to try, in order. Pure."""
    if call.grant.strategy is Strategy.BEDROCK_ONLY:
        return (ProviderName.BEDROCK,)
    if call.grant.strategy is Strategy.PLAN_ONLY or call.asked.quota_probe or not bedrock_serves:
        return (ProviderName.PLAN,)
    return (ProviderName.PLAN, ProviderName.BEDROCK)


Reserve = Callable[[Call], Reservation]


def _nothing_to_reserve(call: Call) -> Reservation:
    return Reservation(Owner(call.grant.user_id, call.grant.access_key_id), 0)


_UNANSWERED = error_reply(Refused(529, "overloaded_error", "no upstream"), "")  # until somebody has answered


@dataclass(slots=True)
class Opened:
    """A reply under way, what is known of it so far, and the Plan's admission that its end will settle (or None).

    `fallback` is why the Plan did not serve, once Bedrock was asked in its place.
    """

    reply: Reply
    outcome: Outcome
    admission: Pass | None = None
    fallback: Fault | None = None
    reservation: Reservation | None = None


class Gateway:
    """`open` blocks its greenlet until an upstream has committed. Safe between greenlets."""

    def __init__(
        self,
        upstreams: tuple[Provider, Provider],
        circuits: Circuits,
        catalogue: ModelCatalogue,
        clock: Callable[[], float],
        reserve: Reserve = _nothing_to_reserve,
    ) -> None:
        """`upstreams` are the Plan and Bedrock. `reserve(call)` is asked before each paid attempt; see `Spending.reserve`."""
        self._plan, self._bedrock = upstreams
        self._circuits = circuits
        self._catalogue = catalogue
        self._clock = clock
        self._reserve = reserve

    def open(self, call: Call) -> Opened:
        """An answer, whatever happens: an error of ours is a Reply too. The caller closes `reply.body`."""
        opened = Opened(_UNANSWERED, Outcome())
        try:
            order = route(call, bedrock_serves=self._bedrock.serves(call))
            if order == (ProviderName.PLAN,):
                self._plan_alone(call, opened)
            elif order == (ProviderName.BEDROCK,):
                self._bedrock_alone(call, opened)
            else:
                self._plan_then_bedrock(call, opened)
        except Severed:
            self._cut(call, opened)
        self._note_answer(opened)
        return opened

    def _plan_alone(self, call: Call, opened: Opened) -> None:
        """With no way to fall back the circuit does not apply: it neither stops the request nor hears of it."""
        try:
            opened.reply = self._ask(self._plan, call, opened)
        except UpstreamError as error:
            opened.reply = self._own_or_ours(error, call, opened)

    def _bedrock_alone(self, call: Call, opened: Opened) -> None:
        try:
            if not call.grant.usable_bedrock_keys:
                raise UpstreamError(
                    Fault.BEDROCK_AUTH, "this access key has no working Bedrock key; ask your administrator to attach one"
                )
            opened.reply = self._ask(self._bedrock, call, opened, insist=True)
        except UpstreamError as error:
            opened.reply = self._own_or_ours(error, call, opened)

    def _plan_then_bedrock(self, call: Call, opened: Opened) -> None:
        admitted = self._circuits.admit(self._plan_circuit(call), _credential(call))
        if isinstance(admitted, Skipped):
            opened.outcome.trace.append(f"plan:skipped({admitted.reason})")
            opened.outcome.fault = admitted.fault or Fault.PLAN_ERROR
            self._note_circuit(call, opened)
            self._fall_back(call, opened, refusal=None)
            return
        try:
            opened.reply = self._ask(self._plan, call, opened)
        except UpstreamError as error:
            admitted.failed(error.fault, error.open_until, error.whole_account)
            self._note_circuit(call, opened)
            if _may_fall_back(error, call):
                self._fall_back(call, opened, refusal=error)
            else:
                opened.reply = self._own_or_ours(error, call, opened)
        except BaseException:
            admitted.neutral()
            raise
        else:
            self._settle_or_hand_on(admitted, opened)

    def _settle_or_hand_on(self, admitted: Pass, opened: Opened) -> None:
        """A probe is settled by the commit, so that nobody waits for the end of its stream; else the stream's end counts.

        A refusal that is passed on (404, 413, ...) says nothing of the Plan's health: the circuit does not hear of it.
        """
        if opened.reply.fault is not None:
            admitted.failed(opened.reply.fault)
        elif opened.reply.streamed and not admitted.is_probe:
            opened.admission = admitted
        else:
            admitted.succeeded()

    def _fall_back(self, call: Call, opened: Opened, refusal: UpstreamError | None) -> None:
        """Bedrock, in the Plan's place. `refusal` is what the Plan said to this request; None when it was skipped."""
        if refusal is not None:
            opened.outcome.fault = refusal.fault
        opened.fallback = opened.outcome.fault
        try:
            opened.reply = self._ask(self._bedrock, call, opened)
        except UpstreamError as error:
            self._without_bedrock(call, opened, refusal, error)
        except Severed:
            _close_answer(refusal)
            raise
        else:
            _close_answer(refusal)

    def _without_bedrock(self, call: Call, opened: Opened, refusal: UpstreamError | None, failed: UpstreamError) -> None:
        """The Plan's own answer, given already or asked for now; before we make one, a Bedrock that was only skipped."""
        if failed.fault is Fault.BUDGET_SPENT:
            opened.fallback = failed.fault
        if _is_the_clients_own(failed):
            _close_answer(refusal)
            opened.reply = self._own_or_ours(failed, call, opened)
            return
        last_word = refusal or self._last_resort(call, opened)
        if last_word is None:
            return
        if last_word.answer is None and isinstance(failed, NotAsked):
            try:
                opened.reply = self._ask(self._bedrock, call, opened, insist=True)
            except UpstreamError:
                pass  # in the trace; what the client hears is about the Plan
            else:
                return
        opened.reply = self._own_or_ours(last_word, call, opened)

    def _last_resort(self, call: Call, opened: Opened) -> UpstreamError | None:
        """The Plan was skipped and Bedrock failed: whatever the Plan says now is the answer. None when it answered well."""
        opened.outcome.trace.append("plan:last resort")
        try:
            opened.reply = self._ask(self._plan, call, opened)
        except UpstreamError as error:
            return error
        opened.outcome.fault = None
        return None

    def _ask(self, provider: Provider, call: Call, opened: Opened, *, insist: bool = False) -> Reply:
        began = self._clock()
        try:
            if began >= call.commit_by:
                raise UpstreamError(_TOO_LATE[provider.name], "no time is left")
            reply = self._paid(provider, call, opened, insist) if provider.metered else provider.open(call, insist=insist)
        except UpstreamError as error:
            detail = f" {error.detail}" if error.detail else ""
            opened.outcome.trace.extend(error.notes)
            opened.outcome.trace.append(f"{provider.name}:{error.fault}{detail}")
            raise
        finally:
            opened.outcome.upstream_wait += self._clock() - began
        opened.outcome.trace.extend(reply.notes)
        opened.outcome.trace.append(f"{provider.name}:{reply.status}")
        return reply

    def _paid(self, provider: Provider, call: Call, opened: Opened, insist: bool) -> Reply:
        """The operator pays: what it may cost is reserved until the answer's end, or until there is none."""
        reservation = self._reserve(call)
        try:
            reply = provider.open(call, insist=insist)
        except BaseException:
            reservation.release()
            raise
        opened.reservation = reservation
        return reply

    def _own_or_ours(self, error: UpstreamError, call: Call, opened: Opened) -> Reply:
        opened.outcome.fault = error.fault
        if error.answer is not None:
            return error.answer
        status, error_type = error.wire or _wire_of(error.fault, call)
        return error_reply(Refused(status, error_type, _advice(error)), call.request_id)

    def _cut(self, call: Call, opened: Opened) -> None:
        if call.lifeline.gone:
            opened.outcome.fault = Fault.CLIENT_GONE
            refused = Refused(499, "client_gone", "the client has gone", close=True)
        else:
            refused = Refused(529, "overloaded_error", "this server is restarting; try again", close=True, retry_after_s=1)
        opened.reply = error_reply(refused, call.request_id)

    def _note_answer(self, opened: Opened) -> None:
        reply, outcome = opened.reply, opened.outcome
        outcome.provider = reply.provider
        outcome.status = reply.status
        outcome.error_type = reply.error_type
        outcome.model_served = reply.model_served
        outcome.bedrock_key_id = reply.bedrock_key_id
        if outcome.fault is None:
            outcome.fault = reply.fault

    def _note_circuit(self, call: Call, opened: Opened) -> None:
        name = self._plan_circuit(call)
        opened.outcome.circuit = self._circuits.describe(name.access_key_id, name.family)

    def _plan_circuit(self, call: Call) -> CircuitName:
        return CircuitName(call.grant.access_key_id, ProviderName.PLAN, self._catalogue.family(call.asked.model))


def _may_fall_back(error: UpstreamError, call: Call) -> bool:
    """The table, with SPEC's one exception: a non-streamed answer that timed out may have been generated and paid."""
    return error.policy.falls_back and (call.asked.stream or error.fault is not Fault.PLAN_TIMEOUT or error.answer is not None)


def _is_the_clients_own(error: UpstreamError) -> bool:
    """Bedrock says that the prompt is too long: only the client can mend that, and it does (it compacts)."""
    return error.fault is Fault.REJECTED and error.answer is not None


_TOO_LATE = {ProviderName.PLAN: Fault.PLAN_TIMEOUT, ProviderName.BEDROCK: Fault.BEDROCK_TIMEOUT}


def _wire_of(fault: Fault, call: Call) -> tuple[int, str]:
    """The table; a Plan that kept a stream waiting is as good as overloaded, and asking again is free of harm."""
    policy = POLICY[Fault.PLAN_OVERLOADED if fault is Fault.PLAN_TIMEOUT and call.asked.stream else fault]
    return policy.status, policy.error_type


def _advice(error: UpstreamError) -> str:
    if error.wire is not None or error.fault is Fault.BEDROCK_AUTH:
        return error.detail
    return f"no upstream could answer ({error}); try again shortly"


def _close_answer(refusal: UpstreamError | None) -> None:
    if refusal is not None and refusal.answer is not None:
        refusal.answer.body.close()


def _credential(call: Call) -> bytes:
    """What the circuit tells logins apart by. A digest already here, so that no credential is kept anywhere."""
    sent = f"{call.header('authorization')}\n{call.header('x-api-key')}"
    return hashlib.sha256(sent.encode("latin-1", "replace")).digest() if len(sent) > 1 else b""
