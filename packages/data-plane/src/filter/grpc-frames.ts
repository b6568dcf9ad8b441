/** Finds the messages in a body of gRPC: each has five bytes before it, of which the last four are its length. */
export class GrpcFrames {
  /** Of the prefix that is being read. */
  #prefix = 0;
  #length = 0;
  /** Of the message that is being read. */
  #left = 0;

  /** How many messages begin in this chunk: their prefix is whole. */
  begun(chunk: Uint8Array): number {
    let count = 0;
    for (let i = 0; i < chunk.length;) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, chunk.length - i);
        this.#left -= skipped;
        i += skipped;
        continue;
      }
      const byte = chunk[i++] as number;
      this.#length = this.#prefix === 0 ? 0 : this.#length * 256 + byte;
      if (++this.#prefix < 5) continue;
      this.#prefix = 0;
      this.#left = this.#length;
      count++;
    }
    return count;
  }
}
