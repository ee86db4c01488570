/** A name server for one name, as container engines have it for services: RFC 1035, A records over UDP and TCP. */
import dgram from 'node:dgram';
import net from 'node:net';

export class NameServer {
  readonly #name: string;
  addresses: readonly string[];
  readonly #udp = dgram.createSocket('udp4');
  readonly #tcp: net.Server;

  private constructor(name: string, addresses: readonly string[]) {
    this.#name = name;
    this.addresses = addresses;
    this.#udp.on('message', (query, { port, address }) => this.#udp.send(this.#answer(query), port, address));
    this.#tcp = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (query: Buffer) => {
        const answer = this.#answer(query.subarray(2));
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.end(Buffer.concat([length, answer]));
      });
    });
  }

  /** On port 53 of an address of loopback, where no other program looks. */
  static async start(host: string, name: string, addresses: readonly string[]): Promise<NameServer> {
    const server = new NameServer(name, addresses);
    await new Promise<void>((resolve) => server.#udp.bind(53, host, resolve));
    await new Promise<void>((resolve) => server.#tcp.listen(53, host, resolve));
    return server;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#udp.close(resolve));
    await new Promise((resolve) => this.#tcp.close(resolve));
  }

  #answer(query: Buffer): Buffer {
    let end = 12;
    const labels: string[] = [];
    for (let length = query[end]; length; length = query[end]) {
      labels.push(query.subarray(end + 1, end + 1 + length).toString());
      end += 1 + length;
    }
    const question = query.subarray(12, end + 5);
    const isAddress = query.readUInt16BE(end + 1) === 1;
    const known = labels[0] === this.#name;
    const records = known && isAddress ? this.addresses.map(record) : [];
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(known ? 0x8180 : 0x8183, 2); // an answer; no such name
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    return Buffer.concat([head, question, ...records]);
  }
}

/** The name of the question, A, IN, a second to live, four bytes. */
function record(address: string): Buffer {
  return Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...address.split('.').map(Number)]);
}
