import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule);
app.useWebSocketAdapter(new WsAdapter(app));
// On SIGTERM: tsunicorn has the handlers run at the end of the drain, once no request is left.
app.enableShutdownHooks();

// No app.listen(): tsunicorn initialises the application and does the listening.
export default app;
