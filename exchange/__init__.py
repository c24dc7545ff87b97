"""The protocol: a pure core, the gate between bytes and domain, the service, AMQP at the rim."""
