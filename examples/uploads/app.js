import { randomUUID } from 'node:crypto';
import { mkdir, rename, unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import express from 'express';
import multer from 'multer';

// Below one directory that all workers, and in several pods all pods, see: a volume and not the container's own disk.
const UPLOADS = resolve(process.env.UPLOADS ?? 'uploads');
const UNFINISHED = join(UPLOADS, '.unfinished'); // on the same file system, so that the rename is atomic
await mkdir(UNFINISHED, { recursive: true });

// To disk and not to memory: a worker's heap is its share of the memory limit.
const upload = multer({ dest: UNFINISHED, limits: { fileSize: 64 << 20, files: 1 } });
const app = express();

app.post('/files', upload.single('file'), async (request, response) => {
  if (!request.file) return response.status(400).json({ error: 'no file' });
  const id = randomUUID(); // never the client's name for it
  await rename(request.file.path, join(UPLOADS, id)).catch(async (error) => {
    await unlink(request.file.path);
    throw error;
  });
  response.status(201).json({ id, bytes: request.file.size, pid: process.pid });
});

app.get('/files/:id', (request, response) => {
  response.set('X-Worker', String(process.pid));
  response.sendFile(request.params.id, { root: UPLOADS, dotfiles: 'deny' });
});

export default app;
