// Shows one SVG figure, and on a figure that asks for it reports where it was clicked, in the picture's own pixels.
export default function ({ data, parentElement, setTriggerValue }) {
  const host = parentElement.querySelector(".figure");
  const parsed = new DOMParser().parseFromString(data.svg, "image/svg+xml").documentElement;
  const svg = document.importNode(parsed, true);
  host.replaceChildren(svg);
  host.classList.toggle("pick", Boolean(data.pick));
  if (data.pick) {
    svg.addEventListener("click", (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      setTriggerValue("clicked", [place.x, place.y]);
    });
  }
}
