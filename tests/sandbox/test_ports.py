"""Ports that services keep."""

from pathlib import Path

from nodes.sandbox.processes import free_ports, keep_ports, kept_ports


def test_none_is_given_twice():
    """Services that are not started yet get ports of their own."""
    ports = free_ports(100) + free_ports(100)
    assert len(set(ports)) == 200


def test_clients_never_get_them():
    """A client's connection cannot take the port of a service that restarts."""
    first_lent = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert [port for port in free_ports(100) if port >= first_lent] == []


def test_a_folder_keeps_its_ports(tmp_path):
    """What comes up again in a folder is found where it was."""
    keep_ports(tmp_path / "ports", [20000, 20001])
    assert kept_ports(tmp_path / "ports", 2) == [20000, 20001]
