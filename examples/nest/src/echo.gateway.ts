import type { BeforeApplicationShutdown } from '@nestjs/common';
import { type OnGatewayConnection, WebSocketGateway, WebSocketServer } from '@nestjs/websockets';
import type { Server, WebSocket } from 'ws';

/** On the port of the application: tsunicorn's. */
@WebSocketGateway({ path: '/ws' })
export class EchoGateway implements OnGatewayConnection, BeforeApplicationShutdown {
  @WebSocketServer()
  private readonly sockets!: Server;

  handleConnection(client: WebSocket): void {
    client.on('message', (data) => client.send(`${process.pid} ${data}`));
  }

  beforeApplicationShutdown(): void {
    for (const client of this.sockets.clients) client.close(1001, 'the server restarts');
  }
}
