// Starts the page: makes modules of the scripts in it, unpacks the data, draws. One file, no network, file:// works.
(async () => {
  "use strict";
  const sources = [...document.querySelectorAll("script[data-module]")];
  const imports = {};
  for (const script of sources) {
    const name = script.dataset.module;
    const text = `${script.textContent}\n//# sourceURL=${name}.js`;
    imports[name] = `data:text/javascript;charset=utf-8,${encodeURIComponent(text)}`;
  }
  const map = document.createElement("script");
  map.type = "importmap";
  map.textContent = JSON.stringify({ imports });
  document.head.append(map);

  /** The data of the page: gzip in base64, so that the file stays small. */
  async function unpacked() {
    const binary = atob(document.getElementById("data").textContent.trim());
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(plain).json();
  }

  try {
    const [page, data] = await Promise.all([import("page"), unpacked()]);
    page.show(data, document.getElementById("page"));
    performance.mark("palettune:ready");
  } catch (error) {
    console.error(error);
    const said = document.createElement("p");
    said.className = "loading";
    said.textContent = `This page could not be drawn (${error}). It needs a browser of 2023 or later.`;
    document.getElementById("page").replaceChildren(said);
  }
})();
