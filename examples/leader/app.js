import { Cron } from 'croner';
import cron from 'node-cron';
import schedule from 'node-schedule';
import { onLeader, worker } from 'tsunicorn';

const EVERY_SECOND = '* * * * * *';

const say = (name) => console.log(JSON.stringify({ job: name, worker: worker.id, at: Date.now() }));

// Each may be in a module of its own: all run in the same worker.
onLeader((signal) => {
  const task = cron.schedule(EVERY_SECOND, () => say('node-cron'));
  signal.addEventListener('abort', () => task.destroy());
});

onLeader((signal) => {
  const job = new Cron(EVERY_SECOND, () => say('croner'));
  signal.addEventListener('abort', () => job.stop());
});

// A job that is under way ends before the next worker starts.
onLeader(async (signal) => {
  schedule.scheduleJob(EVERY_SECOND, () => say('node-schedule'));
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  await schedule.gracefulShutdown();
});

export default (_request, response) => response.end(`worker ${worker.id}\n`);
