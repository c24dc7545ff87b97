"""What can go wrong on links and with brokers, in one tree.

    Retryable
    ├── BrokerUnreachable    no connection: address, network, TLS handshake cut, time ran out
    ├── LoginRefused         the broker or we said no to the login; the message says what to do
    ├── LinkLost             a life of a connection or channel ended; the next one begins
    ├── BrokerFull           the broker answered a publish with nack: its queue is full
    ├── Unroutable           the broker returned a message: the binding is missing
    └── RightRefused         a queue or AMQP exchange is missing, or closed to us
    OutcomeUnknown
    └── PublishUnknown       the broker confirm did not come: perhaps taken, publish again
    Fatal
    ├── TopologyFault        our own broker is not provisioned as planned     (exit code 72)
    ├── BrokerUnsupported    a broker version that is known to misbehave      (exit code 73)
    └── AdministrationFailed the administration command refused or failed     (exit code 74)

Errors of aio_pika, aiormq, ssl and the system become these in `exchange.amqp.rim`, nowhere else.
"""

from schemas.errors import Fatal, OutcomeUnknown, Retryable


class BrokerUnreachable(Retryable):
    """No connection came about; the next url or a later attempt may succeed."""


class LoginRefused(Retryable):
    """The broker refused our login, or we refused the broker; the message says what to do."""


class LinkLost(Retryable):
    """A connection or channel ended; what was not settled comes again in the next life."""


class BrokerFull(Retryable):
    """The queue is at its limit; nothing was taken. The session goes on."""


class Unroutable(Retryable):
    """The message came back for want of a binding; nothing was taken. The session goes on."""


class RightRefused(Retryable):
    """A queue or AMQP exchange does not exist or is closed to us; the channel is gone."""


class PublishUnknown(OutcomeUnknown):
    """No broker confirm: the message may have been taken or not. Repeats are harmless."""


class TopologyFault(Fatal):
    """Our own broker lacks what `bbaj` provisions; the message names the faults."""

    exit_code = 72


class BrokerUnsupported(Fatal):
    """Our own broker's version is one that we know to break what links stand on."""

    exit_code = 73


class AdministrationFailed(Fatal):
    """The administration command of the broker refused, failed or did not answer."""

    exit_code = 74
