"""Every error of Mobula, by the names that programs written for Ray catch.

RayError (MobulaError)
├── RayTaskError                      a task or method raised; also an instance of the class that it raised
├── TaskCancelledError
├── GetTimeoutError                   also a TimeoutError
├── RayActorError
│   ├── ActorDiedError                dead for good
│   └── ActorUnavailableError         restarting, or not reachable now
├── WorkerCrashedError, LocalRayletDiedError, NodeDiedError, OutOfMemoryError, WorkerStartError
├── TaskUnschedulableError, ActorUnschedulableError, TaskPlacementGroupRemoved, ActorPlacementGroupRemoved
├── PendingCallsLimitExceeded, QueueFullError
├── ObjectLostError
│   ├── ObjectFreedError, OwnerDiedError, ObjectFetchTimedOutError
│   ├── ObjectReconstructionFailedError
│   │   └── ObjectReconstructionFailedMaxAttemptsExceededError, ObjectReconstructionFailedLineageEvictedError
│   └── ReferenceCountingAssertionError          also an AssertionError
├── ObjectStoreFullError, OutOfDiskError, PlasmaObjectNotAvailable, ObjectRefStreamEndOfStreamError
├── RuntimeEnvSetupError, CrossLanguageError, AsyncioActorExit, UserCodeException, UnserializableException
├── OufOfBandObjectRefSerializationException
├── AuthenticationError, RpcError
├── NotFoundError, AlreadyExistsError, InvalidArgumentError         also ValueErrors
│   ActorAlreadyExistsError, ActorHandleNotFoundError
├── BadValueError                                                   also a TypeError
├── StaleStubsError
└── RaySystemError
    ├── RayChannelError
    │   └── RayChannelTimeoutError    also a TimeoutError
    ├── RayCgraphCapacityExceeded, RayDirectTransportError, StreamingGeneratorReplayInconsistentError
    └── UnavailableError, SessionClosedError

An error that the runtime reports carries what it knows: `hint` (what to do), `execution` (whether the work may have
happened), `call_site`, and `error`, the whole ErrorValue.
"""

from __future__ import annotations

from mobula._task_error import RayError as RayError
from mobula._task_error import RayTaskError as RayTaskError

MobulaError = RayError


class TaskCancelledError(RayError):
    """The task was cancelled."""

    def __init__(self, task_id: object = None, error_message: str | None = None) -> None:
        super().__init__(*(x for x in (task_id, error_message) if x is not None))
        self.task_id = task_id
        self.error_message = error_message

    def _default(self) -> str:
        message = "" if self.task_id is None else f"Task: {self.task_id} was cancelled."
        return " ".join(x for x in (message, self.error_message) if x)


class GetTimeoutError(RayError, TimeoutError):
    """The time given to get was over before all values were there."""


class RayActorError(RayError):
    """An actor could not run a call."""

    _base = "The actor experienced an error before finishing this task."

    def __init__(self, actor_id: str | None = None, error_msg: str = _base, actor_init_failed: bool = False, preempted: bool = False) -> None:
        super().__init__(*((actor_id, error_msg) if actor_id is not None else ()))
        self.actor_id = actor_id
        self.error_msg = error_msg
        self._actor_init_failed = actor_init_failed
        self._preempted = preempted

    def _default(self) -> str:
        return self.error_msg

    @property
    def actor_init_failed(self) -> bool:
        """Whether it was the actor's constructor that failed."""
        return self._actor_init_failed

    @property
    def preempted(self) -> bool:
        """Whether the actor's node was taken away."""
        return self._preempted


class ActorDiedError(RayActorError):
    """The actor is dead for good; `cause` is its constructor's RayTaskError if that failed."""

    _base = "The actor died unexpectedly before finishing this task."

    def __init__(self, cause: RayTaskError | str | None = None) -> None:
        failed = isinstance(cause, RayTaskError)
        text = f"The actor died because of an error raised in its creation task, {cause}" if failed else cause or self._base
        super().__init__(getattr(cause, "_actor_id", None), str(text), actor_init_failed=failed)
        self.args = () if cause is None else (cause,)
        self.cause = cause if isinstance(cause, RayTaskError) else None


class ActorUnavailableError(RayActorError):
    """The actor cannot be reached now, or is restarting; the call may or may not have run, as `execution` says."""

    def __init__(self, error_message: str, actor_id: bytes | str | None = None) -> None:
        hexadecimal = actor_id.hex() if isinstance(actor_id, bytes) else actor_id
        text = f"The actor {hexadecimal or ''} is unavailable: {error_message}. The task may or may not have been executed."
        super().__init__(hexadecimal, text)
        self.args = (error_message, actor_id)


class _Worded(RayError):
    """An error whose text is fixed; an argument is added to it."""

    _words = ""

    def _default(self) -> str:
        given = Exception.__str__(self)
        return f"{self._words}\n{given}" if given else self._words


class WorkerCrashedError(_Worded):
    """The process that ran the task ended before the task did."""

    _words = "The worker died unexpectedly while executing this task."


class LocalRayletDiedError(_Worded):
    """The node manager of the task's machine ended."""

    _words = "The node manager of the task's machine died."


class WorkerStartError(_Worded):
    """A worker process could not be started, or did not take over."""

    _words = "The worker could not be started."


class NodeDiedError(RayError):
    """A node ended, and the work with it."""

    def __init__(self, message: str = "The node died.") -> None:
        super().__init__(message)
        self.message = message


class OutOfMemoryError(RayError):
    """The process was ended because its machine, or its share of it, ran out of memory."""

    def __init__(self, message: str = "The worker was ended for lack of memory.") -> None:
        super().__init__(message)
        self.message = message


class TaskUnschedulableError(RayError):
    """No node can ever run the task."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message

    def _default(self) -> str:
        return f"The task is not schedulable: {self.error_message}"


class ActorUnschedulableError(RayError):
    """No node can ever run the actor."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message

    def _default(self) -> str:
        return f"The actor is not schedulable: {self.error_message}"


class TaskPlacementGroupRemoved(_Worded):
    """The placement group in which the task was to run was removed."""

    _words = "The placement group corresponding to this task has been removed."


class ActorPlacementGroupRemoved(_Worded):
    """The placement group in which the actor was to run was removed."""

    _words = "The placement group corresponding to this Actor has been removed."


class PendingCallsLimitExceeded(RayError):
    """The caller has as many calls pending at the actor as its max_pending_calls."""


class QueueFullError(RayError):
    """A bound on queued work was reached."""


class ObjectLostError(RayError):
    """The value was lost and cannot be made again."""

    _words = "All copies of it are lost."

    def __init__(self, object_ref_hex: str, owner_address: object = None, call_site: str = "") -> None:
        super().__init__(object_ref_hex, owner_address, call_site)
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site

    def _default(self) -> str:
        made = f" It was made at {self.call_site}." if self.call_site else ""
        return f"Failed to retrieve object {self.object_ref_hex}.{made} {self._words}"


class ObjectFreedError(ObjectLostError):
    """The object was freed by request."""

    _words = "It was freed by request while a ref to it was still in use."


class OwnerDiedError(ObjectLostError):
    """The node that owned the object ended."""

    _words = "The node that owned it has died."


class ObjectFetchTimedOutError(ObjectLostError):
    """No copy of the object was found in time."""

    _words = "No copy of it was found in time."


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """An object was deleted while it was in use: a bug of the runtime."""

    _words = "It was deleted although a ref to it is left. This is a bug: please report it."


class ObjectReconstructionFailedError(ObjectLostError):
    """The task that makes the object could not be run again."""

    _words = "It could not be made again."

    def __init__(
        self,
        object_ref_hex: str,
        reason: object = None,
        reason_message: str | None = None,
        owner_address: object = None,
        call_site: str = "",
    ) -> None:
        super().__init__(object_ref_hex, owner_address, call_site)
        self.reason = reason
        self.reason_message = reason_message

    def _default(self) -> str:
        return f"{super()._default()} {self.reason_message or ''}".rstrip()


class ObjectReconstructionFailedMaxAttemptsExceededError(ObjectReconstructionFailedError):
    """The task that makes the object has no retries left."""


class ObjectReconstructionFailedLineageEvictedError(ObjectReconstructionFailedError):
    """How the object was made is no longer known."""


class ObjectStoreFullError(_Worded):
    """The object store cannot hold the object."""

    _words = "The object store is full of objects that are in use."


class OutOfDiskError(_Worded):
    """The object store is full, and so is the disk to which it spills."""

    _words = "The object store is full, and the disk to which it spills is full too."


class PlasmaObjectNotAvailable(RayError):
    """The object is not in the store of this node within the given time."""


class ObjectRefStreamEndOfStreamError(RayError):
    """A stream has no more items."""


class OufOfBandObjectRefSerializationException(RayError):
    """A ref was pickled where nothing would keep its object alive."""


class RuntimeEnvSetupError(RayError):
    """The runtime environment of a task or actor could not be made."""

    def __init__(self, error_message: str | None = None) -> None:
        super().__init__(*(() if error_message is None else (error_message,)))
        self.error_message = error_message

    def _default(self) -> str:
        words = "Failed to set up runtime environment."
        return f"{words}\n{self.error_message}" if self.error_message else words


class CrossLanguageError(RayError):
    """A function in another language failed; the text is all that crossed."""

    def __init__(self, ray_exception: object = "") -> None:
        super().__init__(ray_exception)
        self.type_name = ""


class AsyncioActorExit(RayError):
    """Raised inside an asyncio actor to end it."""


class UserCodeException(RayError):
    """Code of the user raised while the runtime used it."""


class UnserializableException(RayError):
    """A task raised an exception that cannot be read here; the remote traceback is all that crossed."""

    def __init__(self, original_stack_trace: str = "") -> None:
        super().__init__(original_stack_trace)
        self._original_stack_trace = original_stack_trace

    def _default(self) -> str:
        return f"The exception could not be read here: see the reason below.\nOriginal exception:\n{self._original_stack_trace}"


class AuthenticationError(RayError):
    """The peer may not do this."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RpcError(RayError):
    """A call to a service of the cluster failed."""

    def __init__(self, message: str, rpc_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.rpc_code = rpc_code


class InvalidArgumentError(RayError, ValueError):
    """A request was malformed, or asks for something that is refused."""


class NotFoundError(RayError, ValueError):
    """The named function, actor or key does not exist."""


class AlreadyExistsError(RayError, ValueError):
    """The name is taken."""


class ActorAlreadyExistsError(ValueError, RayError):
    """An actor of that name exists."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message


class ActorHandleNotFoundError(ValueError, RayError):
    """The handle belongs to another session."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message


class BadValueError(RayError, TypeError):
    """A value cannot be sent, or cannot be read as what is wanted."""


class StaleStubsError(RayError):
    """The program's generated stubs do not match the functions that are served."""


class RaySystemError(RayError):
    """The runtime itself failed."""

    def __init__(self, client_exc: object, traceback_str: str | None = None) -> None:
        super().__init__(*((client_exc,) if traceback_str is None else (client_exc, traceback_str)))
        self.client_exc = client_exc
        self.traceback_str = traceback_str

    def _default(self) -> str:
        text = f"System error: {self.client_exc}"
        return f"{text}\ntraceback: {self.traceback_str}" if self.traceback_str else text


class RayChannelError(RaySystemError):
    """A channel of a compiled graph failed."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """An operation on a channel took longer than allowed."""


class RayCgraphCapacityExceeded(RaySystemError):
    """A compiled graph has as many executions in flight as it buffers."""


class RayDirectTransportError(RaySystemError):
    """A tensor could not be moved from device to device."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A stream that was made again has other items than the first time."""


class UnavailableError(RaySystemError):
    """The service cannot answer now; try again."""


class SessionClosedError(RaySystemError):
    """The session, or the job, ended before the work did."""


RAY_EXCEPTION_TYPES = sorted(
    (c for c in list(globals().values()) if isinstance(c, type) and issubclass(c, RayError) and not c.__name__.startswith("_")),
    key=lambda c: c.__name__,
)
"""All classes of this module."""

__all__ = [*(c.__name__ for c in RAY_EXCEPTION_TYPES), "MobulaError"]
