"""A client that knows nothing beforehand: it asks the server what it serves, and calls it through what it learnt."""

import os

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main():
    with open(os.environ["TRICORD_CA"], "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    channel = grpc.secure_channel(os.environ["TRICORD_NODES"].split(",")[2], credentials)
    reflection = ProtoReflectionDescriptorDatabase(channel)
    services = reflection.get_services()
    for name in ("Session", "Directory", "Conversation", "Message", "Presence", "Sync", "Cluster"):
        assert f"tricord.v1.{name}Service" in services, services
    assert not any("peer" in service for service in services), services
    pool = descriptor_pool.DescriptorPool(reflection)

    def call(path, metadata=(), **fields):
        service, method = path.split("/")
        about = pool.FindServiceByName(service).methods_by_name[method]
        request = message_factory.GetMessageClass(about.input_type)(**fields)
        answer = message_factory.GetMessageClass(about.output_type)
        caller = channel.unary_unary(
            f"/{path}", request_serializer=lambda message: message.SerializeToString(), response_deserializer=answer.FromString
        )
        return caller(request, metadata=list(metadata), timeout=10)

    password = os.environ["TRICORD_PASSWORD_ITO"]
    signed_in = call("tricord.v1.SessionService/SignIn", login="ito", password=password).credentials
    metadata = [("authorization", f"Bearer {signed_in.token}")]
    who = call("tricord.v1.SessionService/GetSelf", metadata)
    assert who.user.login == "ito" and who.session.current, who

    health = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)
    assert health == b"\x08\x01", f"SERVING is expected, not {health!r}"
    print("interop: Python through reflection, and the health service: ok")


main()
