import Database from 'better-sqlite3';
import { accounts } from './accounts.js';

const database = new Database(process.env.DATABASE ?? 'accounts.db', { timeout: 5_000 });

export default accounts(database);
