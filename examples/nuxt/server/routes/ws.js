export default defineWebSocketHandler({
  message(peer, message) {
    peer.send(`${process.pid} ${message.text()}`);
  },
});
