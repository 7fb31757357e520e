// Drives one 3Dmol.js canvas a viewer block: the chosen structure, and a picture of each for its thumbnail.
// The status line tells a reader (and a test) what was drawn.

const MEDIA_TYPES = { cif: "chemical/x-mmcif", pdb: "chemical/x-pdb" };

function drawsIn3D() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
}

function showStructure(canvas, structure, style) {
  canvas.removeAllModels();
  const model = canvas.addModel(structure.text, structure.format);
  canvas.setStyle({}, style);
  canvas.zoomTo();
  canvas.zoom(1.1);
  canvas.render();
  return model.selectedAtoms({}).length;
}

function facePrincipalPlane(canvas) {
  // Turns the widest side of the structure to the reader: its longest axis across, its shortest away from the eye.
  const atoms = canvas.selectedAtoms({});
  const count = atoms.length || 1;
  const centre = ["x", "y", "z"].map((axis) => atoms.reduce((sum, atom) => sum + atom[axis], 0) / count);
  const spread = [0, 1, 2].map(() => [0, 0, 0]);
  for (const atom of atoms) {
    const d = [atom.x - centre[0], atom.y - centre[1], atom.z - centre[2]];
    for (let i = 0; i < 3; i += 1) for (let j = 0; j < 3; j += 1) spread[i][j] += d[i] * d[j];
  }
  const first = leadingAxis(spread, [1, 0.3, 0.1]);
  const second = leadingAxis(deflate(spread, first), [0.1, 1, 0.3]);
  const third = cross(first, second);
  const [x, y, z, w] = quaternionOfRows(first, second, third);
  const view = canvas.getView();
  canvas.setView([view[0], view[1], view[2], view[3], x, y, z, w]);
}

function leadingAxis(matrix, start) {
  let axis = start;
  for (let step = 0; step < 100; step += 1) axis = unit(matrix.map((row) => row[0] * axis[0] + row[1] * axis[1] + row[2] * axis[2]));
  return axis;
}

function deflate(matrix, axis) {
  const image = matrix.map((row) => row[0] * axis[0] + row[1] * axis[1] + row[2] * axis[2]);
  const value = axis[0] * image[0] + axis[1] * image[1] + axis[2] * image[2];
  return matrix.map((row, i) => row.map((entry, j) => entry - value * axis[i] * axis[j]));
}

function unit(v) {
  const length = Math.hypot(...v) || 1;
  return v.map((entry) => entry / length);
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function quaternionOfRows(a, b, c) {
  // The rotation with these rows, as (x, y, z, w); the trace form with the largest component as pivot.
  const squares = [1 + a[0] - b[1] - c[2], 1 - a[0] + b[1] - c[2], 1 - a[0] - b[1] + c[2], 1 + a[0] + b[1] + c[2]];
  const off = { xy: a[1] + b[0], xz: a[2] + c[0], yz: b[2] + c[1], x: c[1] - b[2], y: a[2] - c[0], z: b[0] - a[1] };
  const pivot = squares.indexOf(Math.max(...squares));
  return unit([
    [squares[0], off.xy, off.xz, off.x],
    [off.xy, squares[1], off.yz, off.y],
    [off.xz, off.yz, squares[2], off.z],
    [off.x, off.y, off.z, squares[3]],
  ][pivot]);
}

function setUpViewer(block) {
  const { structures, styles } = JSON.parse(block.querySelector(".viewer-data").textContent);
  const status = block.querySelector(".status");
  const thumbnails = [...block.querySelectorAll("[data-structure]")];
  const state = { chosen: 0, style: 0, spinning: false, pictures: 0, atoms: 0 };
  const canvas = drawsIn3D() ? $3Dmol.createViewer(block.querySelector(".canvas"), { backgroundAlpha: 0, antialias: true }) : null;
  if (!canvas) {
    status.dataset.state = "failed";
    status.textContent = "This browser cannot draw in 3D (WebGL is off); the structures can still be downloaded.";
  }

  const report = () => {
    status.dataset.state = state.pictures === structures.length ? "complete" : "drawn";
    status.dataset.atoms = state.atoms;
    status.dataset.pictures = state.pictures;
    status.textContent = `${state.atoms} atoms drawn. Drag to turn, scroll to zoom.`;
  };

  const describe = () => {
    const structure = structures[state.chosen];
    block.querySelector(".shown strong").textContent = structure.name;
    block.querySelector(".shown dl").replaceChildren(...structure.facts.map(([name, value]) => {
      const entry = document.createElement("div");
      entry.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value }));
      return entry;
    }));
    thumbnails.forEach((button, index) => button.setAttribute("aria-pressed", index === state.chosen));
  };

  const draw = () => {
    describe();
    if (!canvas) return;
    state.atoms = showStructure(canvas, structures[state.chosen], styles[state.style].style);
    facePrincipalPlane(canvas);
    report();
  };

  const choose = (index) => { state.chosen = index; draw(); };

  block.querySelector(".styles").append(...styles.map((style, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: style.label });
    button.setAttribute("aria-pressed", index === state.style);
    button.addEventListener("click", () => {
      state.style = index;
      [...button.parentElement.children].forEach((other) => other.setAttribute("aria-pressed", other === button));
      if (canvas) { canvas.setStyle({}, style.style); canvas.render(); }
    });
    return button;
  }));
  thumbnails.forEach((button, index) => button.addEventListener("click", () => choose(index)));
  block.querySelector(".reset").addEventListener("click", draw);
  block.querySelector(".spin").addEventListener("click", (event) => {
    state.spinning = !state.spinning;
    event.currentTarget.setAttribute("aria-pressed", state.spinning);
    if (canvas) canvas.spin(state.spinning ? "y" : false, 0.6);
  });
  block.querySelector(".tools .save").addEventListener("click", () => {
    const structure = structures[state.chosen];
    saveText(`${structure.name}.${structure.format}`, MEDIA_TYPES[structure.format] || "text/plain", structure.text);
  });

  choose(0);
  if (canvas) drawThumbnails(structures, styles[0].style, thumbnails, () => { state.pictures += 1; report(); });
}

function drawThumbnails(structures, style, thumbnails, done) {
  const stage = Object.assign(document.createElement("div"), { ariaHidden: "true" });
  stage.style.cssText = "position:absolute;left:-1000px;top:0;width:220px;height:220px";
  document.body.append(stage);
  const canvas = $3Dmol.createViewer(stage, { backgroundAlpha: 0, antialias: true });
  const next = (index) => {
    if (index === structures.length) { stage.remove(); return; }
    showStructure(canvas, structures[index], style);
    facePrincipalPlane(canvas);
    const image = Object.assign(document.createElement("img"), { src: canvas.pngURI(), alt: "" });
    thumbnails[index].querySelector(".picture").replaceChildren(image);
    done();
    setTimeout(() => next(index + 1), 0);
  };
  setTimeout(() => next(0), 0);
}

document.querySelectorAll(".viewer").forEach(setUpViewer);
