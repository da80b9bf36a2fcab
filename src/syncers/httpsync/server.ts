import { InvalidOptionError } from '../../shared/errors.ts'
import type { HttpHandler, HttpServer, HttpServerInit } from './http-types.ts'

/** Where there is no node:http: an InvalidOptionError. */
export async function startHttpServer (_handler: HttpHandler, _init: HttpServerInit): Promise<HttpServer> {
  throw new InvalidOptionError('http.listen', 'needs Node: leave it out and mount handleRequest() in the server that you have')
}
