export class RevisionConflict extends Error {
  readonly key: string;
  readonly expected: number;
  /** 0 = the key does not exist. */
  readonly actual: number;
  constructor(key: string, expected: number, actual: number) {
    super(`${key}: expected revision ${expected || 'none'}, found ${actual || 'none'}`);
    this.name = 'RevisionConflict';
    this.key = key;
    this.expected = expected;
    this.actual = actual;
  }
}

export class RevisionCompacted extends Error {
  constructor(asked: number, oldest: number) {
    super(`changes after revision ${asked} are no longer known (oldest: ${oldest}); list again`);
    this.name = 'RevisionCompacted';
  }
}

export class LeaseExpired extends Error {
  constructor(id: string) {
    super(`lease ${id} has expired`);
    this.name = 'LeaseExpired';
  }
}

export class StoreClosed extends Error {
  constructor() {
    super('the store is closed');
    this.name = 'StoreClosed';
  }
}

/** Another process has the store's file open. */
export class StoreInUse extends Error {
  constructor(path: string) {
    super(`${path} is in use by another process`);
    this.name = 'StoreInUse';
  }
}
