"""The agent and a management plane: connecting, reports, answers, and what a plane does wrong."""

import json

import grpc
import pytest

from mpi_plane import FAILURE, OK, Plane, command, request
from support import cli, wait_for
from tls import Authority

KIND = command.InstanceMeta.InstanceType


@pytest.fixture
def plane():
    made = Plane()
    yield made
    made.stop()


def settings(port, **more):
    return {
        "command": {"server": {"host": "127.0.0.1", "port": port}, **more},
        "labels": {"Owner-Name": "ns_dep", "num": 7, "flag": "true"},
        "client": {"backoff": {"initial_interval": "100ms", "max_interval": "200ms", "multiplier": 1.5}},
    }


def of_kind(resource, kind):
    return [i for i in resource.instances if i.instance_meta.instance_type == kind]


def told(agent):
    return agent.api("status")["management_plane"]


def test_an_agent_connects_and_reports(agents, nginx, plane):
    agent = agents(config=settings(plane.port))
    plane.wait_stream()
    first = plane.seen("CreateConnection")[0]
    resource = first[0].resource
    assert resource.instances[0].instance_meta.instance_type == KIND.INSTANCE_TYPE_AGENT
    config = resource.instances[0].instance_config.agent_config
    assert all(len(label) == 1 for label in config.labels)
    assert {k: v for label in config.labels for k, v in label.items()} == {
        "owner-name": "ns_dep", "num": 7, "flag": True,
    }
    assert (config.command.server.host, config.command.server.port) == ("127.0.0.1", plane.port)
    assert not config.command.HasField("auth") and not config.command.HasField("tls")
    assert first[1]["owner-name"] == "ns_dep" and "num" not in first[1] and "uuid" not in first[1]
    assert resource.resource_id == resource.host_info.host_id or resource.container_info.container_id

    def has_nginx(message):
        return any(i.instance_runtime.process_id == nginx.pid() for i in message.resource.instances)

    if not has_nginx(first[0]):
        plane.wait_call("UpdateDataPlaneStatus", has_nginx)
    health = plane.wait_call("UpdateDataPlaneHealth", lambda m: m.instance_healths)
    assert command.InstanceHealth.INSTANCE_HEALTH_STATUS_HEALTHY in {
        h.instance_health_status for h in health.instance_healths
    }
    wait_for(lambda: told(agent)["state"] == "connected", "the status says so")
    assert b"management plane 127.0.0.1:" in cli("status", "--socket", agent.socket)[1]


def test_requests_are_answered_once_with_their_correlation_id(agents, plane):
    agents(config=settings(plane.port))
    plane.wait_stream()
    plane.send(request("health_request", "c-health"))
    answer = plane.wait_answer("c-health")
    assert (answer.command_response.status, answer.command_response.message, answer.request_type) == (
        OK, "Successfully sent health status update", command.DataPlaneResponse.HEALTH_REQUEST,
    )
    assert answer.instance_id == "" and answer.message_meta.message_id
    assert any(m.message_meta.correlation_id == "c-health" for m, _ in plane.seen("UpdateDataPlaneHealth"))
    plane.send(request("status_request", "c-status"))
    assert plane.wait_answer("c-status").command_response.status == OK
    plane.send(request("command_status_request", "c-command"), extra=b"\x9a\x06\x02yz")  # field 99
    assert plane.wait_answer("c-command").command_response.status == OK
    for kind in ("config_apply_request", "config_upload_request", "action_request", "update_agent_config_request"):
        plane.send(request(kind, kind))
        answer = plane.wait_answer(kind)
        assert answer.command_response.status == FAILURE and answer.command_response.error
    plane.send(request("health_request", "c-last"))
    plane.wait_answer("c-last")
    ids = [a.message_meta.correlation_id for a in plane.answers]
    assert len(ids) == len(set(ids)), ids


@pytest.mark.parametrize("wire", [b"\x0a\x05ab", b"\x0a\x04\x12\x02\xff\xfe", b"\x2a\x02\x0a\x7f"])
def test_what_is_no_request_ends_no_stream(agents, plane, wire):
    agents(config=settings(plane.port))
    plane.wait_stream()
    plane.send(wire)
    assert plane.wait_answer("").command_response.status == FAILURE
    plane.send(request("health_request", "after"))
    plane.wait_answer("after")
    assert len(plane.seen("Subscribe")) == 1


def test_a_stream_that_ends_is_opened_again_one_at_a_time(agents, plane):
    agents(config=settings(plane.port))
    plane.wait_stream()
    for n in range(2, 5):
        plane.drop()
        wait_for(lambda n=n: len(plane.seen("Subscribe")) >= n and plane.streams, "the next stream")
    assert len(plane.seen("CreateConnection")) == len(plane.seen("Subscribe"))
    assert plane.most_streams == 1


def test_a_plane_that_comes_back_is_connected_and_told(agents, plane):
    agent = agents(config=settings(plane.port))
    plane.wait_stream()
    plane.stop()
    wait_for(lambda: told(agent)["state"] != "connected", "the status says that it is gone")
    assert "Subscribe" in told(agent)["last_error"] or "CreateConnection" in told(agent)["last_error"]
    again = Plane(f"127.0.0.1:{plane.port}")
    try:
        again.wait_stream()
        again.send(request("health_request", "new"))
        again.wait_answer("new")
    finally:
        again.stop()


def test_a_plane_that_refuses_is_a_problem_and_not_the_end(agents, plane):
    plane.refuse["CreateConnection"] = grpc.StatusCode.UNAVAILABLE
    agent = agents(config=settings(plane.port))
    wait_for(lambda: "refused by the test" in (told(agent)["last_error"] or ""), "the status says why")
    assert "management plane" in json.dumps(agent.api("status")["problems"])
    plane.refuse.clear()
    plane.wait_stream()
    wait_for(lambda: told(agent)["state"] == "connected", "the agent connects")


def test_a_report_that_fails_is_sent_again(agents, nginx, plane):
    plane.refuse["UpdateDataPlaneHealth"] = grpc.StatusCode.UNAVAILABLE
    agents(config=settings(plane.port))
    plane.wait_call("UpdateDataPlaneHealth")
    plane.refuse.clear()
    tried = len(plane.seen("UpdateDataPlaneHealth"))
    wait_for(lambda: len(plane.seen("UpdateDataPlaneHealth")) > tried, "the report is sent again")


def test_token_and_ids_over_mutual_tls(agents, folder):
    authority = Authority(folder / "tls")
    pem = authority.chain.read_bytes()
    credentials = grpc.ssl_server_credentials([(pem, pem)], authority.ca.read_bytes(), True)
    token = folder / "token"
    token.write_text(" tok-1\n")
    plane = Plane(credentials=credentials)
    tls = {"ca": str(authority.ca), "cert": str(authority.chain), "key": str(authority.chain)}
    try:
        agents(config=settings(plane.port, tls=tls, auth={"tokenpath": str(token)}))
        plane.wait_stream()
        message, metadata = plane.seen("Subscribe")[0]
        resource = plane.seen("CreateConnection")[0][0].resource
        assert (metadata["authorization"], metadata["uuid"]) == ("tok-1", resource.resource_id)
        config = resource.instances[0].instance_config.agent_config.command
        assert config.HasField("auth") and config.tls.ca == str(authority.ca)
        token.write_text("tok-2")
        wait_for(lambda: plane.seen("Subscribe")[-1][1]["authorization"] == "tok-2", "the new token is used")
        assert plane.most_streams == 1
    finally:
        plane.stop()


def test_a_token_does_not_go_over_plain_text(agents):
    agent = agents(config={"command": {"server": {"host": "192.0.2.1", "port": 1}, "auth": {"token": "secret"}}})
    wait_for(lambda: "needs TLS" in told(agent)["last_error"], "the status says what to do")
    assert told(agent)["state"] == "off"


def test_without_a_plane_nothing_is_said(agents):
    agent = agents()
    assert told(agent) is None
