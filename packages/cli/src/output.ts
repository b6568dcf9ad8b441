/** Where a command writes. stdout holds results only. */
export interface Output {
  stdout(text: string): void;
  stderr(text: string): void;
}
