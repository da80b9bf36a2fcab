/** A request as a handler sees it, whatever carried it. */
export interface HttpRequest {
  readonly method: string

  /** As on the request line: percent-encoded; a query is ignored. */
  readonly path: string
  readonly headers: { get (name: string): string | null | undefined }

  /** Aborts when nobody waits for the answer any more. */
  readonly signal?: AbortSignal
}

/** Not changed by anybody: one object may answer many requests. */
export interface HttpAnswer {
  readonly status: number

  /** Names and values in turn, which is what node:http writes fastest. */
  readonly headers: readonly string[]
  readonly body?: Uint8Array
}

/** Answers requests over plain HTTP, Request and Response, or anything else. Never throws, never rejects. */
export interface HttpHandler {
  handle (request: HttpRequest): HttpAnswer | Promise<HttpAnswer>
}
