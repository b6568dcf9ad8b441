// The messages of one call, kept so that another attempt can send them again from the first.

export interface OutgoingMessage {
  readonly message: Buffer;
  readonly flags: number | undefined;
  /** Tells grpc-js that the message is through: streams write the next one only then. */
  callback: ((error?: Error | null) => void) | undefined;
}

export class MessageQueue {
  #limit: number;
  readonly #messages: (OutgoingMessage | undefined)[] = [];
  #keptBytes = 0;
  /** Messages before it may be gone. */
  #forgotten = 0;
  #forgetting = false;
  /** Waits for the last message; until then nothing is forgotten. */
  #whenWhole: (() => void) | undefined;
  #sent = 0;
  bytes = 0;
  closed = false;
  /** Told when the present attempt has sent all there is. */
  onDrained: (() => void) | undefined;

  /** @param limit bytes kept for another attempt. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get replayable(): boolean {
    return !this.#forgetting;
  }

  get drained(): boolean {
    return this.#sent >= this.#messages.length;
  }

  /** Instead of the limit it was made with. */
  limitReplay(bytes: number): void {
    this.#limit = bytes;
    if (this.#keptBytes > bytes) this.#forgetting = true;
  }

  get length(): number {
    return this.#messages.length;
  }

  add(message: OutgoingMessage): void {
    this.#messages.push(message);
    this.bytes += message.message.length;
    this.#keptBytes += message.message.length;
    if (this.#keptBytes <= this.#limit) return;
    this.#forgetting = true;
    this.#whenWhole = undefined;
  }

  /** No message follows. */
  close(): void {
    this.closed = true;
    const use = this.#whenWhole;
    this.#whenWhole = undefined;
    use?.();
    this.sent(this.#sent);
  }

  /** Runs `use` once all messages are there, where they are not more than is kept. */
  whenWhole(use: () => void): void {
    if (this.#forgetting) return;
    if (this.closed) use();
    else this.#whenWhole = use;
  }

  /** For a call of its own; only once it is whole. */
  copy(): MessageQueue {
    const copy = new MessageQueue(this.#limit);
    for (const message of this.#messages) copy.add({ message: message!.message, flags: message!.flags, callback: undefined });
    copy.close();
    return copy;
  }

  get(index: number): OutgoingMessage | undefined {
    return this.#messages[index];
  }

  /** No other attempt follows: what was sent need not be kept. */
  commit(): void {
    this.#forgetting = true;
  }

  /** The present attempt has sent all before `index`. */
  sent(index: number): void {
    this.#sent = index;
    if (this.onDrained && this.drained) this.onDrained();
    if (!this.#forgetting || this.#whenWhole) return;
    for (; this.#forgotten < index; this.#forgotten++) this.#messages[this.#forgotten] = undefined;
  }
}
