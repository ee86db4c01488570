import { Module } from '@nestjs/common';
import { AppController } from './app.controller.js';
import { EchoGateway } from './echo.gateway.js';
import { Greeting } from './greeting.service.js';

@Module({ controllers: [AppController], providers: [EchoGateway, Greeting] })
export class AppModule {}
