"""The protocol: a pure core, the gate between bytes and domain, the service, and AMQP at the rim."""
