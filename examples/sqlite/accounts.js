/** One file, several processes that write to it. The database waits for a lock (`timeout`) before it gives up. */
export function accounts(database) {
  // Readers and a writer do not wait for each other. Stays set in the file.
  database.exec('PRAGMA journal_mode = WAL');
  database.exec('PRAGMA synchronous = NORMAL'); // safe in WAL mode; a commit does not wait for the disk
  database.exec('CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL)');
  const read = database.prepare('SELECT balance FROM accounts WHERE name = ?');
  const write = database.prepare('INSERT OR REPLACE INTO accounts (name, balance) VALUES (?, ?)');

  function deposit(name, amount) {
    // IMMEDIATE takes the write lock before the read. After a plain BEGIN another worker may write between the two;
    // SQLite then refuses the write at once ("database is locked"), whatever the timeout.
    database.exec('BEGIN IMMEDIATE');
    try {
      const balance = (read.get(name)?.balance ?? 0) + amount;
      write.run(name, balance);
      database.exec('COMMIT');
      return balance;
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  }

  return (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    const name = pathname.slice(1);
    const balance =
      request.method === 'POST' ? deposit(name, Number(searchParams.get('amount'))) : read.get(name)?.balance;
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ balance: balance ?? 0, pid: process.pid }));
  };
}
