// Interleaved rounds: every way once a round, the ratio of medians against the first.
export async function compare(ways, { rounds = 7, milliseconds = 1500, inFlight = 32 }) {
  const rates = ways.map(() => []);
  for (const { once } of ways) await measure(once, { milliseconds: 500, inFlight });
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { once }] of ways.entries()) rates[index].push(await measure(once, { milliseconds, inFlight }));
  }
  const medians = rates.map((list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]);
  console.log(`${inFlight} in flight, median of ${rounds} interleaved rounds of ${milliseconds / 1000} s:`);
  for (const [index, { name }] of ways.entries()) {
    const spread = `${Math.round(Math.min(...rates[index]))} to ${Math.round(Math.max(...rates[index]))}`;
    console.log(`  ${name.padEnd(44)} ${String(Math.round(medians[index])).padStart(7)}/s (${spread})   ratio ${(medians[index] / medians[0]).toFixed(2)}`);
  }
  return medians.map((median) => median / medians[0]);
}

async function measure(once, { milliseconds, inFlight }) {
  const until = performance.now() + milliseconds;
  const began = performance.now();
  let done = 0;
  const worker = async () => {
    while (performance.now() < until) {
      await once();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return (done / (performance.now() - began)) * 1000;
}
