import { DatabaseSync } from 'node:sqlite';
import { accounts } from './accounts.js';

const database = new DatabaseSync(process.env.DATABASE ?? 'accounts.db', { timeout: 5_000 });

export default accounts(database);
