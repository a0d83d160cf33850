// What to begin with. The pictures lie beside the page.

export const EXAMPLES = [
  { text: "what is the tag of the yellow circle?", picture: "tags.png", about: "a picture" },
  { text: "describe the picture", picture: "shapes.png", about: "a picture" },
  { text: "draw a red circle above a small blue square", about: "a drawing" },
  { text: "draw this again", picture: "shapes.png", about: "a picture into a drawing" },
];

/** The picture of an example, as a file that a user might have given. */
export async function exampleFile(name) {
  const response = await fetch(`page/examples/${name}`);
  return new File([await response.blob()], name, { type: "image/png" });
}
