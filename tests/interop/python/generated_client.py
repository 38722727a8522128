"""A client made by grpcio-tools from the .proto files: signs in, creates a group, sends, lists, follows the stream."""

import os

import grpc
from tricord.v1 import (
    conversation_pb2,
    conversation_pb2_grpc,
    directory_pb2,
    directory_pb2_grpc,
    message_pb2,
    message_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    sync_pb2,
    sync_pb2_grpc,
)
from tricord.v1.common_pb2 import PART_WRITER, ReadOptions, RequestId

TEXT = "Bett 4 ist frei — 4番ベッド 🛏"


class User:
    """One signed-in user at one node."""

    def __init__(self, login, address):
        with open(os.environ["TRICORD_CA"], "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        self.channel = grpc.secure_channel(address, credentials)
        request = session_pb2.SignInRequest(login=login, password=os.environ[f"TRICORD_PASSWORD_{login.upper()}"])
        answer = session_pb2_grpc.SessionServiceStub(self.channel).SignIn(request, timeout=10).credentials
        self.metadata = [("authorization", f"Bearer {answer.token}")]
        self.number = answer.next_number
        self.cursor = answer.cursor
        self.name = answer.user.name

    def request_id(self):
        number = self.number
        self.number += 1
        return RequestId(number=number, settled=number)


def main():
    nodes = os.environ["TRICORD_NODES"].split(",")
    ito, weber = User("ito", nodes[0]), User("weber", nodes[1])

    directory = directory_pb2_grpc.DirectoryServiceStub(ito.channel)
    found = directory.GetUser(directory_pb2.GetUserRequest(name="users/@weber"), metadata=ito.metadata, timeout=5)
    assert found.user.name == weber.name, found

    conversations = conversation_pb2_grpc.ConversationServiceStub(ito.channel)
    group = conversations.CreateConversation(
        conversation_pb2.CreateConversationRequest(
            conversation=conversation_pb2.Conversation(
                kind=conversation_pb2.CONVERSATION_KIND_GROUP, title="Ward 3, from Python"
            ),
            participants=[conversation_pb2.Participant(user=weber.name, part=PART_WRITER)],
            request_id=ito.request_id(),
        ),
        metadata=ito.metadata,
        timeout=5,
    ).conversation.name

    stream = sync_pb2_grpc.SyncServiceStub(weber.channel).Sync(
        sync_pb2.SyncRequest(cursor=weber.cursor, with_messages=True), metadata=weber.metadata, timeout=20
    )
    messages = message_pb2_grpc.MessageServiceStub(ito.channel)
    request = message_pb2.SendMessageRequest(
        message=message_pb2.OutgoingMessage(conversation=group, text=TEXT.encode()), request_id=ito.request_id()
    )
    sent = messages.SendMessage(request, metadata=ito.metadata, timeout=5)
    assert sent.seq == 1, sent
    again = messages.SendMessage(request, metadata=ito.metadata, timeout=5)
    assert again == sent, "a retry has the same answer"

    joined = False
    for item in stream:
        joined = joined or item.conversation_joined.conversation == group
        if item.HasField("message_posted") and item.message_posted.conversation == group:
            assert item.message_posted.message.text == TEXT, item
            break
    else:
        raise AssertionError("the stream ended without the message")
    assert joined, "the stream did not say that a conversation was joined"
    stream.cancel()

    listed = message_pb2_grpc.MessageServiceStub(weber.channel).ListMessages(
        message_pb2.ListMessagesRequest(parent=group, read=ReadOptions(at_least=sent.cursor)),
        metadata=weber.metadata,
        timeout=5,
    )
    assert [(message.seq, message.text, message.sender) for message in listed.messages] == [(1, TEXT, ito.name)], listed

    try:
        messages.GetMessage(message_pb2.GetMessageRequest(name=f"{group}/messages/2"), metadata=ito.metadata, timeout=5)
        raise AssertionError("a message that does not exist was answered")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert b"NOT_FOUND" in details and b"tricord" in details, details
    print("interop: Python from the .proto files: ok")


main()
