// A gRPC-Web client made by protoc-gen-es and connect-es, as a browser would use it.
import assert from "node:assert/strict";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { ConversationKind, ConversationService } from "./generated/tricord/v1/conversation_pb.js";
import { MessageService } from "./generated/tricord/v1/message_pb.js";
import { SessionService } from "./generated/tricord/v1/session_pb.js";
import { SyncService } from "./generated/tricord/v1/sync_pb.js";

const TEXT = "Bett 4 ist frei — 4番ベッド 🛏";
const nodes = process.env.TRICORD_NODES.split(",");

async function signIn(login, node, httpVersion) {
  let token;
  const bearer = (next) => (request) => {
    if (token) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const transport = createGrpcWebTransport({ baseUrl: `https://${nodes[node]}`, httpVersion, interceptors: [bearer] });
  const password = process.env[`TRICORD_PASSWORD_${login.toUpperCase()}`];
  const { credentials } = await createClient(SessionService, transport).signIn({ login, password });
  token = credentials.token;
  let number = credentials.nextNumber;
  const requestId = () => ({ number, settled: number++ });
  return { transport, requestId, cursor: credentials.cursor, name: credentials.user.name };
}

for (const httpVersion of ["2", "1.1"]) {
  const ito = await signIn("ito", 0, httpVersion);
  const weber = await signIn("weber", 1, httpVersion);
  const { conversation } = await createClient(ConversationService, ito.transport).createConversation({
    conversation: { kind: ConversationKind.GROUP, title: `Ward 3, over HTTP ${httpVersion}` },
    participants: [{ user: weber.name }],
    requestId: ito.requestId(),
  });
  const stream = createClient(SyncService, weber.transport).sync({ cursor: weber.cursor, withMessages: true }, { timeoutMs: 20_000 });
  const messages = createClient(MessageService, ito.transport);
  const message = { conversation: conversation.name, text: new TextEncoder().encode(TEXT) };
  const sent = await messages.sendMessage({ message, requestId: ito.requestId() });
  assert.equal(sent.seq, 1n);

  let seen;
  for await (const { item } of stream) {
    if (item.case === "messagePosted" && item.value.conversation === conversation.name) {
      seen = item.value.message.text;
      break;
    }
  }
  assert.equal(seen, TEXT);

  const listed = await createClient(MessageService, weber.transport).listMessages({
    parent: conversation.name,
    read: { atLeast: sent.cursor },
  });
  assert.deepEqual(listed.messages.map(({ seq, text, sender }) => [seq, text, sender]), [[1n, TEXT, ito.name]]);

  await assert.rejects(
    () => messages.getMessage({ name: `${conversation.name}/messages/2` }),
    (error) => error instanceof ConnectError && error.code === Code.NotFound,
  );
  console.log(`interop: gRPC-Web from Node over HTTP ${httpVersion}: ok`);
}
process.exit(0);
