"""Records constructed by a user, and what an error tells."""

from __future__ import annotations

import errno
import pickle

import attrs
import pytest

import smapskit
from smapskit import AccessDenied, Device, Mapping, Permissions, ProcessNotFound, Unsupported

PERMS = Permissions(read=True, write=True, execute=False, shared=False)


class TestConverters:
    def test_strings_are_converted(self) -> None:
        mapping = Mapping(start=0x1000, end=0x3000, perms="rw-p", device="fe:00")
        assert mapping == Mapping(start=0x1000, end=0x3000, perms=PERMS, device=Device(0xFE, 0))
        assert (mapping.perms, mapping.device) == (PERMS, Device(0xFE, 0))
        assert (mapping.size, mapping.is_private) == (8, True)
        assert attrs.evolve(mapping, perms="r-xs").perms == Permissions.parse("r-xs")

    def test_a_device_may_be_unknown(self) -> None:
        assert Mapping(start=0, end=4096, perms="rw-p").device is None
        assert Mapping(start=0, end=4096, perms="rw-p", device=None).device is None

    @pytest.mark.parametrize("perms", ["", "rw-", "rwx", "rw-pp", "pwxr", "rw--"])
    def test_other_permissions_are_rejected(self, perms: str) -> None:
        with pytest.raises(ValueError, match="expected four characters like 'rw-s' or 'r-xp'"):
            Mapping(start=0, end=4096, perms=perms)

    @pytest.mark.parametrize("device", ["", "fe", "fe00", "x:00", "fe:"])
    def test_other_devices_are_rejected(self, device: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011  the message of int() for some
            Mapping(start=0, end=4096, perms="rw-p", device=device)

    def test_records_do_not_share_their_unknown_fields(self) -> None:
        first, second = (Mapping(start=0, end=4096, perms="rw-p") for _ in range(2))
        assert first.extra == second.extra == {}
        assert first.extra is not second.extra


class TestErrors:
    @pytest.mark.parametrize("error", [ProcessNotFound, AccessDenied, Unsupported])
    def test_have_the_pid_where_there_is_one(self, error: type) -> None:
        raised = error(errno.ESRCH, "no process 7", pid=7)
        assert (raised.pid, raised.errno, raised.strerror) == (7, errno.ESRCH, "no process 7")
        assert error(errno.ESRCH, "no process").pid is None
        again = pickle.loads(pickle.dumps(raised))
        assert (type(again), again.pid, str(again)) == (error, 7, str(raised))

    @pytest.mark.parametrize(
        ("error", "builtin"),
        [
            (smapskit.ParseError, ValueError),
            (ProcessNotFound, ProcessLookupError),
            (AccessDenied, PermissionError),
            (Unsupported, OSError),
        ],
    )
    def test_are_what_a_caller_expects(self, error: type, builtin: type) -> None:
        assert issubclass(error, builtin)
        assert issubclass(error, smapskit.SmapskitError)
