import { InvalidOptionError } from '../../shared/errors.ts'
import type { HttpAnswer, HttpHandler } from './http-types.ts'

/** One request of a web-standard server, answered by a handler. */
export async function handleWebRequest (handler: HttpHandler, request: Request): Promise<Response> {
  if (!URL.canParse(request?.url) || typeof request.headers?.get !== 'function') {
    throw new InvalidOptionError('request', 'must be a Request of the fetch API, with a whole URL')
  }
  const { method, headers, signal } = request
  return toResponse(await handler.handle({ method, headers, signal, path: new URL(request.url).pathname }))
}

function toResponse ({ status, headers, body }: HttpAnswer): Response {
  const list: Array<[string, string]> = []
  for (let i = 0; i < headers.length; i += 2) { list.push([headers[i], headers[i + 1]]) }
  return new Response(body as Uint8Array<ArrayBuffer> | undefined, { status, headers: list })
}
