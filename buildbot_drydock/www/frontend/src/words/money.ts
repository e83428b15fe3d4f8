// Amounts of money, in dollars as providers give them.

/** `$1.50`, or more digits where two would say nothing. */
export function money(amount: number): string {
  const digits = amount !== 0 && Math.abs(amount) < 0.1 ? 4 : 2;
  return `$${amount.toFixed(digits)}`;
}
