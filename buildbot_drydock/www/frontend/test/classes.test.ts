// Buildbot 4.3 has Bootstrap 4, its next version Bootstrap 5: the pages use what both have.
/// <reference types="vite/client" />
import ts from "typescript";
import { describe, expect, test } from "vitest";
import four from "bootstrap-4/dist/css/bootstrap.css?raw";
import five from "bootstrap/dist/css/bootstrap.css?raw";

const SOURCES: Record<string, string> = import.meta.glob("../src/**/*.tsx", {
  query: "?raw",
  import: "default",
  eager: true,
});
const OWN = /^drydock(-|$)/;
const OF_SCRIPTS = /^data-(bs-.*|toggle|target|dismiss|parent|spy)$/;

/** The classes that a style sheet says something of. */
function classesIn(css: string): Set<string> {
  return new Set([...css.matchAll(/\.([a-z][\w-]*)/g)].map(([, name]) => name ?? ""));
}

function attributesIn(source: string): ts.JsxAttribute[] {
  const found: ts.JsxAttribute[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isJsxAttribute(node)) found.push(node);
    node.forEachChild(visit);
  };
  visit(ts.createSourceFile("page.tsx", source, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX));
  return found;
}

/** All words of texts within a node, whichever of them will be chosen. */
function wordsIn(node: ts.Node): string[] {
  const isText = ts.isStringLiteral(node) || ts.isTemplateHead(node)
    || ts.isTemplateMiddleOrTemplateTail(node) || ts.isNoSubstitutionTemplateLiteral(node);
  const own = isText ? node.text.split(/\s+/).filter(Boolean) : [];
  const below: string[] = [];
  node.forEachChild((child) => {
    below.push(...wordsIn(child));
  });
  return [...own, ...below];
}

function foreignClassesIn(source: string): string[] {
  return attributesIn(source)
    .filter((attribute) => attribute.name.getText() === "className")
    .flatMap((attribute) => wordsIn(attribute))
    .filter((word) => !OWN.test(word));
}

const known = [classesIn(four), classesIn(five)];
const isOfBoth = (name: string) => known.every((names) => names.has(name));

test("what is only in one version is told apart", () => {
  expect(["btn-outline-danger", "form-control-sm", "table-responsive", "mb-3"].filter(isOfBoth))
    .toHaveLength(4);
  const ofOne = ["text-right", "text-end", "badge-danger", "form-group", "sr-only", "btn-close"];
  expect([...ofOne, "visually-hidden", "custom-select", "form-select", "ml-2", "ms-2"]
    .filter(isOfBoth)).toEqual([]);
  const source = "<p className={`drydock-a ${is ? \"ml-2\" : 'b c'} d`} title='e' />";
  expect(foreignClassesIn(source)).toEqual(["ml-2", "b", "c", "d"]);
});

describe.each(Object.entries(SOURCES))("%s", (_, source) => {
  test("uses classes of its own, and such as both versions of Bootstrap have", () => {
    expect(foreignClassesIn(source).filter((name) => !isOfBoth(name))).toEqual([]);
  });

  test("needs none of Bootstrap's scripts", () => {
    const names = attributesIn(source).map((attribute) => attribute.name.getText());
    expect(names.filter((name) => OF_SCRIPTS.test(name))).toEqual([]);
  });
});
