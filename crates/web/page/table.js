// Tables of cells: a text each, and perhaps a class.

export function number(value, digits) {
  return { text: value == null ? "–" : value.toFixed(digits), class: "number" };
}

export function table(caption, heads, rows) {
  const made = document.createElement("table");
  made.createCaption().textContent = caption;
  const head = made.createTHead().insertRow();
  for (const text of heads) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = made.createTBody();
  made.addRow = (cells) => {
    const row = body.insertRow();
    for (const cell of cells) {
      const made = row.insertCell();
      made.textContent = cell.text;
      if (cell.class) made.className = cell.class;
    }
  };
  rows.forEach(made.addRow);
  return made;
}
