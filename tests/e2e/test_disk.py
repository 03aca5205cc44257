# SPDX-License-Identifier: BSD-3-Clause
"""Disks that fail, fill up, or are not what they should be: short versions of the proofs in tests/fault, and what an
operator sees."""
import errno
import fcntl
import os
import re
import resource
import socket
import subprocess
import time

import pytest

from fault import backup, disk_errors, disk_full
from fault.iofault import FOR_EVER, Faults, LOSES
from harness.service import Service
from harness.wait import until

PATH = "/api/v1/schedule/"
PAST = "2020-01-01T00:00:00Z"
DATABASE, LOG = "*/scheduler.db", "*/scheduler.db-wal"


@pytest.fixture
def faulty(tmp_path):
    """A service whose disk can be made to fail, with an account, not yet started."""
    faults = Faults(tmp_path)
    with Service(directory=tmp_path / "service", env=faults.environment) as service:
        service.faults = faults
        service.token = service.create_user("admin", admin=True)
        yield service
        faults.disarm()


def refused(service, *words):
    """`serve` ends with 1, without a crash, and says all of `words`."""
    result = subprocess.run(service.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                            env=service.environment, cwd=service.directory)
    assert result.returncode == 1 and "AddressSanitizer" not in result.stderr, result
    for word in words:
        assert re.search(word, result.stderr), (word, result.stderr)


def ready(service):
    answer = service.api().get("/readyz/")
    return answer.status, answer.json().get("reason", "")


def create(service, **fields):
    return service.api(service.token).post(PATH, {"endpoint": "http://127.0.0.1:9/", "enabled": False, **fields})


# ---- the proofs, short ----

@pytest.mark.parametrize("number", [2, 6, 11, 15, 40])
def test_a_failed_sync_ends_the_process_and_loses_nothing(number):
    tried, problems = disk_errors.run([disk_errors.Trial("fsync", number, errno.EIO, LOSES)])
    assert problems == [] and "sync_in_nothing" not in tried


@pytest.mark.parametrize("number, fault", list(zip((20, 150, 200, 333, 500, 700), disk_errors.WRITE_FAULTS)))
def test_a_failed_write_is_told_and_undone(number, fault):
    tried, problems = disk_errors.run([disk_errors.Trial("pwrite", number, *fault)])
    assert problems == [] and "write_in_nothing" not in tried


@pytest.mark.parametrize("kind", [pytest.param("space", marks=pytest.mark.skipif(
    os.geteuid() != 0, reason="a small file system can be mounted by root alone")), "size"])
def test_a_full_disk_stops_new_work_and_nothing_else(kind, tmp_path):
    tried, _, problems = disk_full.run(kind, 2, f"quick/{kind}", tmp_path, resume_s=8)
    assert problems == [] and tried[f"{kind}_rounds"] == 2


def test_a_restored_backup_repeats_only_what_came_after_it(tmp_path):
    tried, _, problems = backup.run(2, 7, tmp_path)
    assert problems == [] and tried["rounds"] == 2


# ---- a full disk ----

def test_a_start_on_a_full_disk_says_what_to_do(faulty):
    faulty.faults.arm("pwrite", "*/scheduler.db*", last=FOR_EVER, error=errno.ENOSPC)
    refused(faulty, "scheduler.db", "full|No space left", "free space")
    faulty.faults.disarm()
    faulty.start()
    assert create(faulty).status == 201


def test_a_start_without_room_for_the_reserve_waits_for_it(faulty):
    faulty.faults.arm("fallocate", "*.reserve", last=FOR_EVER, error=errno.ENOSPC)
    faulty.start()
    status, reason = ready(faulty)
    assert status == 503 and "free space" in reason
    answer = create(faulty)
    assert answer.status == 503 and answer.header("Retry-After")
    faulty.process.wait_line(lambda entry: entry["event"] == "disk_full" and entry["remedy"], 10)
    for words in (("user", "disable", "admin"), ("token", "create", "admin"), ("group", "create", "late")):
        command = faulty.cli(*words)
        assert command.returncode == 1 and "disk is full" in command.stderr and "free space" in command.stderr
    assert "admin" in faulty.cli("user", "list", check=True).stdout
    faulty.faults.disarm()
    until(lambda: create(faulty).status == 201, timeout=5)
    assert ready(faulty)[0] == 200
    faulty.cli("group", "create", "late", check=True)


def test_a_file_in_the_place_of_the_reserve_is_left_alone(faulty):
    path = faulty.directory / "scheduler.db.reserve"
    path.write_text("somebody's letters")
    faulty.start()
    line = faulty.process.wait_line(lambda entry: entry["event"] == "reserve_failed", 10)
    assert line["path"].endswith("scheduler.db.reserve") and "move it away" in line["error"] and line["remedy"]
    assert create(faulty).status == 201 and ready(faulty)[0] == 200
    faulty.stop()
    assert path.read_text() == "somebody's letters"


# ---- a disk that fails for a while ----

def test_a_log_that_cannot_be_copied_back_stops_the_start(faulty):
    faulty.start()
    kept = create(faulty).json()["id"]
    faulty.kill()
    faulty.faults.arm("pwrite", DATABASE, last=FOR_EVER, error=errno.EIO)
    refused(faulty, "cannot write", "scheduler.db", "Input/output error")
    faulty.faults.disarm()
    faulty.start()
    assert faulty.api(faulty.token).get(f"{PATH}{kept}/").status == 200


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_disk_that_takes_no_writes_for_a_while(faulty, receiver, number):
    faulty.start()
    kept = create(faulty).json()["id"]
    faulty.faults.arm("pwrite", "*/scheduler.db*", last=FOR_EVER, error=number)
    assert create(faulty).status == 503
    until(lambda: ready(faulty)[0] == 503, timeout=10)
    assert faulty.api(faulty.token).get(f"{PATH}{kept}/").status == 200
    if number == errno.EDQUOT:
        faulty.process.wait_line(lambda entry: entry["event"] == "disk_full" and "quota" in entry["error"], 10)
    faulty.faults.disarm()
    path = f"/after/{number}"
    until(lambda: create(faulty, endpoint=receiver.url(path), enabled=True, next_send_at=PAST).status == 201, timeout=5)
    receiver.wait_for(1, path)
    until(lambda: ready(faulty)[0] == 200, timeout=10)


def test_damage_met_while_serving_shows_in_readiness(faulty):
    faulty.start()
    assert ready(faulty)[0] == 200
    for number in range(30):
        assert create(faulty, payload="x" * 200_000).status == 201
    faulty.faults.arm("pread", "*/scheduler.db*", last=FOR_EVER, error=errno.EIO)
    until(lambda: faulty.api(faulty.token).get(PATH).status == 503, timeout=10)
    status, reason = ready(faulty)
    assert status == 503 and "damaged" in reason and "backup" in reason
    faulty.process.wait_line(lambda entry: re.search("I/O error|malformed", entry.get("detail", "")), 10)
    faulty.faults.disarm()
    assert faulty.api(faulty.token).get(PATH).status == 200
    assert ready(faulty)[0] == 503      # until a start has checked the file
    faulty.restart()
    assert ready(faulty)[0] == 200


# ---- files that are not as they should be ----

def test_files_that_cannot_be_opened_are_named(faulty):
    for pattern, word in (("*/scheduler.db", "scheduler.db"), ("*/scheduler.db.key", "scheduler.db.key")):
        faulty.faults.arm("open", pattern, last=FOR_EVER, error=errno.EACCES)
        refused(faulty, word, "Permission denied")
    faulty.faults.disarm()
    faulty.start()


def test_a_database_that_is_gone_takes_nothing_until_it_is_back(faulty, tmp_path):
    faulty.start()
    os.link(faulty.database_path, tmp_path / "aside")
    faulty.database_path.unlink()
    assert create(faulty).status == 503
    until(lambda: "put it back" in ready(faulty)[1] or "log has the reason" in ready(faulty)[1], timeout=10)
    os.link(tmp_path / "aside", faulty.database_path)
    assert create(faulty).status == 201
    until(lambda: ready(faulty)[0] == 200, timeout=10)


def test_a_new_database_beside_an_old_key_is_told(faulty):
    assert "new_database_with_old_key" not in faulty.cli("user", "list", check=True).stderr
    faulty.database_path.unlink()
    faulty.start()
    warning = faulty.process.wait_line(lambda entry: entry["event"] == "new_database_with_old_key", 10)
    assert warning["level"] == "warn" and "restore" in warning["remedy"]


# ---- what is not the database's disk ----

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(service):
    try:
        return service.api().get("/healthz/").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("log", ["full", "blocked"])
def test_a_log_that_takes_nothing_holds_up_nothing(receiver, log):
    with Service() as service, open("/dev/full", "wb") as full:
        token = service.create_user("admin", admin=True)
        service.address = ("127.0.0.1", free_port())
        command = [word.replace("127.0.0.1:0", f"127.0.0.1:{service.address[1]}") for word in service.command()]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=service.directory,
                                 stderr=full if log == "full" else subprocess.PIPE, env=service.environment)
        try:
            if log == "blocked":        # nobody reads, and the pipe takes a dozen lines
                fcntl.fcntl(child.stderr, fcntl.F_SETPIPE_SZ, 4096)
            until(lambda: answers(service), timeout=30)
            api, path = service.api(token), f"/log/{log}"
            for _ in range(200):
                assert api.post(PATH, {"endpoint": receiver.url(path), "next_send_at": PAST}).status == 201
            receiver.wait_for(200, path, timeout=30)
        finally:
            child.terminate()
            code = child.wait(30)
            if child.stderr:
                child.stderr.close()
        assert code == 0


def test_attempts_that_find_no_descriptor_leave_the_budget_alone(receiver):
    with Service() as service:
        service.token = service.create_user("admin", admin=True)
        service.start()
        api = service.api(service.token)
        due = time.time() + 1
        api.create(endpoint=receiver.url("/unsent"), next_send_at=time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                                                 time.gmtime(due + 1)))
        before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        for _ in range(2):
            service.process.wait_line(lambda entry: entry.get("class") == "internal", 15)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
        request = receiver.wait_for(1, "/unsent")[0]
        assert request.attempt == 1
